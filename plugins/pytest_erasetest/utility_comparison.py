"""The utility of a run: pass@k of two CLMs on the same problems, compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from erasetest.samples import SensitiveSample

if TYPE_CHECKING:
    from erasetest.clm import Clm
    from erasetest.utility import UtilityScore
    from pytest_erasetest.gate import Gate


def compare_utility(gate: Gate) -> dict[str, Any]:
    """The comparison as in the report; None where nothing was erased to compare with."""
    from erasetest.utility import utility_report

    settings = gate.settings
    if settings.erase:
        if gate.erasure() is None:
            return {"utility": None}
        # What the CLM writes itself is no code that it has not seen.
        held_out = gate.given.retained[1] if gate.given.retained else []
        scores = [
            _score(gate, gate.clm, "before", held_out),
            _score(gate, gate.erased_clm, "after", held_out),
        ]
    else:
        other = gate.opener.open(str(settings.utility_against))
        scores = [_score(gate, other, "against"), _score(gate, gate.clm, "of the CLM")]
    return {"utility": utility_report(*scores, margin=settings.utility_margin)}


def _score(
    gate: Gate, clm: Clm, what: str, held_out: list[SensitiveSample] | None = None
) -> UtilityScore:
    from erasetest.utility.evaluation import measure
    from erasetest.utility.sampling import Sampling

    with gate.opener.progress(f"pass@k {what}") as task:
        return measure(
            clm,
            gate.given.problems,
            Sampling(samples=gate.settings.utility_samples),
            task,
            unsafe=gate.settings.utility_unsafe_execution,
            greedy=True,
            held_out=held_out or (),
        )
