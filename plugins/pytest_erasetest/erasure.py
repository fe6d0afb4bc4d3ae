"""The erasure of a run: what leaks is erased into a checkpoint, and what that kept is measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erasetest.samples import SensitiveSample
from erasetest.samples.retained import RETENTION_MARGIN
from erasetest.verdict.thresholds import Thresholds

if TYPE_CHECKING:
    from erasetest.clm import Clm
    from pytest_erasetest.gate import Gate


def erase_leaking(gate: Gate) -> dict[str, Any]:
    """The folder of the erased checkpoint and the erasure as in the report.

    Both None where nothing leaks.
    """
    from erasetest.erasing import ErasureSettings, Lora, erase_to

    leaking = gate.leaking()
    if not leaking:
        return {"erasure": None, "folder": None}
    settings = gate.settings
    if gate.given.reserves_late:
        gate.given.reserve()
    samples = [gate.given.by_id[sample_id] for sample_id in leaking]
    retained, held_out = gate.retained
    # Else two of them would be in memory for as long as erasing takes.
    gate.spare()
    clm = gate.opener.open(str(settings.clm), settings.clm_adapter)
    kept = _text_accuracy(gate, clm, held_out)
    folder = Path(settings.erase_out or gate.ledger.folder / "erased").absolute()
    with gate.opener.all_cores(), gate.opener.progress("erasing") as task:
        erasure = erase_to(
            folder,
            clm,
            samples,
            retained,
            gate.thresholds,
            ErasureSettings(
                method=str(settings.erase),
                lr=settings.erase_lr,
                lora=Lora(settings.erase_lora) if settings.erase_lora else None,
                precision=settings.erase_precision,
                checkpointing=settings.erase_checkpointing,
                step_tokens=settings.erase_step_tokens,
            ),
            lambda step, expected: task(step.step, expected, step.note()),
            doing=task.doing,
            remark=task.remark,
            recalibrate=_recalibration(gate, clm),
            earlier=_erased_before(gate, clm, leaking),
        )
    return {
        "folder": str(folder),
        "erasure": {
            **erasure.as_dict(settings.erase_out),
            "retention": {
                "texts": len(held_out),
                "before": kept,
                "after": _text_accuracy(gate, clm, held_out),
                "margin": RETENTION_MARGIN,
            },
        },
    }


def _recalibration(gate: Gate, clm: Clm) -> Callable[[], Thresholds] | None:
    """How thresholds are found again on a CLM that changes; None where they were given."""
    from erasetest.verdict import calibrate

    if gate.settings.leak_thresholds or not gate.thresholds.references:
        return None
    return lambda: calibrate(clm, gate.given.samples)


def _erased_before(gate: Gate, clm: Clm, leaking: list[str]) -> list[SensitiveSample]:
    """Samples of the run that this CLM was erased of before, and that do not leak."""
    known = {name for record in clm.records for name in record.ids} - set(leaking)
    return [sample for sample in gate.given.samples if sample.id in known]


def _text_accuracy(gate: Gate, clm: Clm, texts: list[SensitiveSample]) -> float:
    from erasetest.probes.probing import mean_text_accuracy

    return mean_text_accuracy(clm, texts, gate.settings.leak_length)
