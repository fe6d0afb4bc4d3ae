"""A request to erase, from what is asked to a checkpoint: one path for the command and the gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from erasetest import __version__
from erasetest.clm.load import Clm
from erasetest.erase.checkpoint import checkpoint_bytes, save_checkpoint
from erasetest.erase.result import Erasure, Step
from erasetest.erase.settings import ErasureSettings
from erasetest.erase.trained import check_trainable
from erasetest.erase.trainer import erase
from erasetest.erase.unfinished import EVERY, Unfinished, key_of
from erasetest.files import check_new_directory, check_room
from erasetest.samples import SensitiveSample
from erasetest.verdict import Thresholds

_STATE_BYTES = 12
"""For a trained parameter: itself and the two moments of Adam, in float32."""


_FORM = f"{__version__}/2"
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
    keep_every: float = EVERY,
) -> Erasure:
    """Erase samples from a CLM, in place, and write the checkpoint to a new folder.

    A run that was killed goes on from the file `.NAME.unfinished` beside the folder, if the same is
    asked for again; the file goes when the checkpoint is there.

    Args:
        folder: new or empty.
        clm: as in `erase`, with all arguments up to `earlier`.
        samples: see there.
        retained: see there.
        thresholds: see there.
        settings: see there.
        progress: see there.
        recalibrate: see there.
        earlier: see there.
        keep_every: seconds between two states that are kept, or more: a twentieth of the time at
            most is spent on them.

    Raises:
        BadInput: the folder cannot be used, its disk is too full, the weights are quantized, or
            what `erase` refuses; before any training.
        ErasureError: as in `erase`.
    """
    check_new_directory(folder)
    check_trainable(clm)
    trained = 0 if settings.lora else clm.parameters
    check_room(folder, checkpoint_bytes(clm) + trained * _STATE_BYTES)
    asked = (_FORM, clm.fingerprint, clm.name, asdict(settings), thresholds.as_dict())
    unfinished = Unfinished(folder, key_of(asked, [samples, retained, earlier]), keep_every)
    erasure = erase(
        clm,
        samples,
        retained,
        thresholds,
        settings,
        progress,
        recalibrate=recalibrate,
        earlier=earlier,
        unfinished=unfinished,
    )
    save_checkpoint(clm, folder, erasure, samples)
    unfinished.remove()
    return erasure


def unchecked(clm: Clm, samples: Sequence[SensitiveSample]) -> int:
    """How many samples were erased from the CLM before and are not among these."""
    known = {sample.id for sample in samples}
    return len({name for record in clm.records for name in record.ids} - known)
