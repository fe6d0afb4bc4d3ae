"""The erasure of a run: erase into a checkpoint, and measure how well retained code is kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erasetest.erasing.plan import ErasePlan
from erasetest.samples import SensitiveSample
from erasetest.samples.repeats import repeated_strings
from erasetest.samples.retained import RETENTION_MARGIN

if TYPE_CHECKING:
    from erasetest.clm import Clm
    from erasetest.verdict import Thresholds
    from pytest_erasetest.model_loader import ModelLoader
    from pytest_erasetest.options import Settings

_REPEATS = 24
"""Number of texts that contain a random string twice, to measure the skill of copying."""

NOTHING_ERASED: dict[str, Any] = {"erasure": None, "folder": None}
"""The result of an erasure when nothing leaks."""


def plan_erasure(
    clm: Clm,
    samples: Sequence[SensitiveSample],
    leaking: Sequence[SensitiveSample],
    retained: Sequence[SensitiveSample],
    thresholds: Thresholds,
    *,
    fixed: bool,
) -> ErasePlan:
    """Return the plan to erase what leaks.

    Args:
        clm: the CLM that is to be erased.
        samples: all samples of the run. Those that were erased from the CLM before and do not leak
            are checked again; a calibration uses all samples.
        leaking: the samples to erase.
        retained: code to preserve.
        thresholds: those of the run.
        fixed: whether the user gives the thresholds.
    """
    erased_before = {name for record in clm.records for name in record.ids}
    erased_before -= {sample.id for sample in leaking}
    return ErasePlan(
        leaking,
        retained,
        thresholds,
        earlier=[sample for sample in samples if sample.id in erased_before],
        # Published thresholds have no decoys, and are not calibrated again.
        calibrated_on=samples if thresholds.references and not fixed else (),
    )


def erase_and_measure(
    clm: Clm,
    plan: ErasePlan,
    held_out: Sequence[SensitiveSample],
    folder: Path,
    settings: Settings,
    loader: ModelLoader,
) -> dict[str, Any]:
    """Erase into a folder; return the folder, and the erasure as in the report.

    Args:
        clm: changed in place.
        plan: what to erase.
        held_out: retained code that erasing never sees, to measure retention on.
        folder: new folder of the checkpoint.
        settings: the settings of the run.
        loader: shows progress, and assigns the cores.
    """
    before = _text_accuracy(clm, held_out, settings)
    repeats = repeated_strings(held_out, plan.samples, _REPEATS, "held out")
    copied_before = _copying_accuracy(clm, repeats)
    with loader.all_cores(), loader.progress("erasing") as task:
        erasure = plan.erase(clm, settings.erase_options.settings(), folder, task)
    return {
        "folder": str(folder),
        "erasure": {
            **erasure.as_dict(settings.erase_out),
            "retention": {
                "texts": len(held_out),
                "before": before,
                "after": _text_accuracy(clm, held_out, settings),
                "margin": RETENTION_MARGIN,
                "copying": {"before": copied_before, "after": _copying_accuracy(clm, repeats)},
            },
        },
    }


def _copying_accuracy(clm: Clm, repeats: Sequence[SensitiveSample]) -> float:
    from erasetest.probes.text_probing import mean_copying_accuracy

    return mean_copying_accuracy(clm, repeats)


def _text_accuracy(clm: Clm, texts: Sequence[SensitiveSample], settings: Settings) -> float:
    from erasetest.probes.text_probing import mean_text_accuracy

    return mean_text_accuracy(clm, texts, settings.leak_length)
