"""A request to erase, from what is asked to a checkpoint: one path for the command and the gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from erasetest import __version__
from erasetest.clm.erasure_records import check_new_checkpoint
from erasetest.clm.load import Clm
from erasetest.erasing.checkpoint import checkpoint_bytes, save_checkpoint
from erasetest.erasing.erasure_result import Erasure, Step
from erasetest.erasing.erasure_settings import ErasureSettings
from erasetest.erasing.examples import forget_examples, retained_examples
from erasetest.erasing.objectives import METHODS
from erasetest.erasing.resume import EVERY, ResumeFile, key_of
from erasetest.erasing.trainable import check_trainable
from erasetest.erasing.trainer import erase
from erasetest.erasing.undo import check_distillable
from erasetest.samples import SensitiveSample
from erasetest.samples.retained import check_disjoint
from erasetest.support.atomic_files import check_room, unfinished_of
from erasetest.verdict import Thresholds

_STATE_BYTES = 12
"""For a trained parameter: itself and the two moments of Adam, in float32."""

_HEALING_BYTES = 16
"""The same while it heals: suppressed and healed, and the moments of either optimizer."""

_FORM = f"{__version__}/6"
"""Of a state. One of another form is not gone on with: raise the number when it changes."""


def erase_to(
    folder: Path,
    clm: Clm,
    samples: Sequence[SensitiveSample],
    retained: Sequence[SensitiveSample],
    thresholds: Thresholds,
    settings: ErasureSettings,
    progress: Callable[[Step, int], None] | None = None,
    *,
    recalibrate: Callable[[], Thresholds] | None = None,
    earlier: Sequence[SensitiveSample] = (),
    doing: Callable[[str], None] | None = None,
    remark: Callable[[str], None] | None = None,
    keep_every: float = EVERY,
) -> Erasure:
    """Erase samples from a CLM, in place, and write the checkpoint to a new folder.

    A run that was killed goes on from the file `.NAME.unfinished` beside the folder, if the same is
    asked for again; the file goes when the checkpoint is there.

    Args:
        folder: new or empty.
        clm: as in `erase`, with all arguments up to `doing`.
        samples: see there.
        retained: see there.
        thresholds: see there.
        settings: see there.
        progress: see there.
        recalibrate: see there.
        earlier: see there.
        doing: see there.
        remark: told what is worth a line of its own: that killed work goes on, or begins anew.
        keep_every: seconds between two states that are kept, or more: a twentieth of the time at
            most is spent on them.

    Raises:
        BadInput: as in `check_request`, before any training.
        ErasureError: as in `erase`.
    """
    check_request(folder, clm, samples, retained, settings, earlier)
    asked = (_FORM, clm.fingerprint, clm.name, asdict(settings), thresholds.as_dict())
    key = key_of(asked, [samples, retained, earlier])
    unfinished = ResumeFile(folder, key, keep_every, remark)
    erasure = erase(
        clm,
        samples,
        retained,
        thresholds,
        settings,
        progress,
        recalibrate=recalibrate,
        earlier=earlier,
        doing=doing,
        unfinished=unfinished,
    )
    save_checkpoint(clm, folder, erasure, samples)
    unfinished.remove()
    return erasure


def check_request(
    folder: Path,
    clm: Clm,
    samples: Sequence[SensitiveSample],
    retained: Sequence[SensitiveSample] | None,
    settings: ErasureSettings,
    earlier: Sequence[SensitiveSample] = (),
) -> None:
    """Refuse what `erase_to` would refuse: call it before anything that takes long.

    Args:
        folder: see `erase_to`, as the others.
        clm: see there.
        samples: see there.
        retained: None where it is still to be written.
        settings: see there.
        earlier: see there.

    Raises:
        BadInput: the folder cannot be used, or its disk is too full; the weights are quantized, or
            the method or adapter is none for this CLM; a sample has no secret, or one past the
            window; retained code is none, or holds a secret.
    """
    check_new_checkpoint(folder)
    check_trainable(clm, settings.lora)
    if METHODS[settings.method].heals:
        check_distillable(clm)
    check_room(folder, _room(folder, clm, settings))
    forget_examples(clm, [*samples, *earlier])
    if retained is not None:
        check_disjoint([*samples, *earlier], retained)
        retained_examples(clm, retained)


def _room(folder: Path, clm: Clm, settings: ErasureSettings) -> int:
    """Bytes that the work needs beside a state that is there: two states, or one and the end."""
    place = unfinished_of(folder)
    there = place.stat().st_size if place.is_file() else 0
    # An adapter, and what is kept of it, is small beside the CLM.
    each = _HEALING_BYTES if METHODS[settings.method].heals else _STATE_BYTES
    state = 0 if settings.lora else clm.parameters * each
    return state + max(state, checkpoint_bytes(clm)) - there


def count_unlisted_erasures(clm: Clm, samples: Sequence[SensitiveSample]) -> int:
    """How many samples were erased from the CLM before and are not among these."""
    known = {sample.id for sample in samples}
    return len({name for record in clm.records for name in record.ids} - known)
