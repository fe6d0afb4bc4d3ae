"""The pipeline of a request to erase: check, erase, save. Used by the command and the gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from erasetest.clm.erasure_records import check_new_checkpoint, state_path
from erasetest.clm.model import Clm
from erasetest.erasing.checkpoint import checkpoint_bytes, save_checkpoint
from erasetest.erasing.erasure_result import Erasure, Step
from erasetest.erasing.erasure_settings import ErasureSettings
from erasetest.erasing.examples import forget_examples
from erasetest.erasing.objectives import METHODS
from erasetest.erasing.prepare import check_clm, prepare
from erasetest.erasing.resume import SAVE_INTERVAL, ResumeFile, request_key
from erasetest.erasing.trainer import ErasureRun
from erasetest.samples import SensitiveSample
from erasetest.support.atomic_files import check_disk_space
from erasetest.verdict import Thresholds
from erasetest.version import __version__

_STATE_BYTES = 12
"""Bytes of a saved state per parameter: the weight and Adam's two moments, in float32."""

_DISTILLATION_STATE_BYTES = 16
"""The same during distillation: suppressed and distilled weight, and the optimizers' moments."""

STATE_FORMAT = f"{__version__}/9"
"""Format of saved states; those of another format are not resumed. Increase the number whenever
the keys or the meaning of a state change."""


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
    save_interval: float = SAVE_INTERVAL,
) -> Erasure:
    """Erase samples from a CLM, in place, and write the checkpoint to a new folder.

    The state of the run is saved in `.NAME.erasetest-state` beside the folder. A killed run resumes
    from it when the same request is made again; it is removed when the checkpoint is written.

    Args:
        folder: new or empty.
        clm: as in `erase`, with all arguments up to `doing`.
        samples: see `erase`.
        retained: see `erase`.
        thresholds: see `erase`.
        settings: see `erase`.
        progress: see `erase`.
        recalibrate: see `erase`.
        earlier: see `erase`.
        doing: see `erase`.
        remark: receives a line if a saved state is found: whether it is resumed.
        save_interval: minimum number of seconds between two saved states. Saving takes 5 % of the
            time at most, unless it is 0, which saves after each step.

    Raises:
        BadInput: as in `check_request`, before any training.
        ErasureError: as in `erase`.
    """
    check_new_checkpoint(folder)
    prepared = prepare(clm, samples, retained, settings, earlier)
    check_disk_space(folder, _needed_bytes(folder, clm, settings))
    request = (STATE_FORMAT, clm.fingerprint, clm.name, asdict(settings), thresholds.as_dict())
    key = request_key(request, [samples, retained, earlier])
    resume_file = ResumeFile(folder, key, save_interval, remark)
    erasure = ErasureRun(
        prepared,
        thresholds,
        progress,
        recalibrate=recalibrate,
        doing=doing,
        resume_file=resume_file,
    ).run()
    save_checkpoint(clm, folder, erasure, samples)
    resume_file.remove()
    return erasure


def check_request(
    folder: Path | None,
    clm: Clm,
    samples: Sequence[SensitiveSample],
    retained: Sequence[SensitiveSample] | None,
    settings: ErasureSettings,
    earlier: Sequence[SensitiveSample] = (),
) -> None:
    """Refuse what `erase_to` would refuse: call it before other work that takes long.

    Args:
        folder: see `erase_to`, as the others; None if no checkpoint is to be written.
        clm: see `erase_to`.
        samples: see `erase_to`.
        retained: None if it is still to be generated.
        settings: see `erase_to`.
        earlier: see `erase_to`.

    Raises:
        BadInput: the folder cannot be used, or its disk is too full; or as in `prepare`.
    """
    if folder is not None:
        check_new_checkpoint(folder)
    if retained is None:
        check_clm(clm, settings)
        forget_examples(clm, [*samples, *earlier])
    else:
        prepare(clm, samples, retained, settings, earlier)
    if folder is not None:
        check_disk_space(folder, _needed_bytes(folder, clm, settings))


def count_unlisted_erasures(clm: Clm, samples: Sequence[SensitiveSample]) -> int:
    """Return how many samples were erased from the CLM before and are not among these."""
    known = {sample.id for sample in samples}
    return len({name for record in clm.records for name in record.ids} - known)


def _needed_bytes(folder: Path, clm: Clm, settings: ErasureSettings) -> int:
    """Return the bytes needed besides an existing state.

    Either two states, as a new one is written before the old one is removed, or a state and the
    checkpoint.
    """
    saved = state_path(folder)
    existing = saved.stat().st_size if saved.is_file() else 0
    distills = METHODS[settings.method].distills
    per_parameter = _DISTILLATION_STATE_BYTES if distills else _STATE_BYTES
    # The state of an adapter is small compared to the CLM.
    state = 0 if settings.lora else clm.parameters * per_parameter
    return state + max(state, checkpoint_bytes(clm)) - existing
