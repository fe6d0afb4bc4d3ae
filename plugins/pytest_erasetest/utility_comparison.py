"""The utility of a run: pass@k of two CLMs on the same problems, compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from erasetest.samples import SensitiveSample

if TYPE_CHECKING:
    from erasetest.clm import Clm
    from erasetest.support.progress import StartProgress
    from erasetest.utility import Problem, UtilityScore
    from pytest_erasetest.options import Settings


class UtilityComparison:
    """Scores CLMs on the problems of a run, in the way that the settings demand."""

    def __init__(
        self,
        settings: Settings,
        problems: Sequence[Problem],
        held_out: Sequence[SensitiveSample],
        progress: StartProgress,
    ) -> None:
        self._settings, self._problems = settings, problems
        self._held_out, self._progress = held_out, progress

    def score(self, clm: Clm, role: str) -> UtilityScore:
        """Return the pass@k of a CLM; `role` is its part in the comparison, for the progress."""
        from erasetest.utility.evaluation import evaluate

        with self._progress(f"pass@k {role}") as task:
            return evaluate(
                clm,
                self._problems,
                self._settings.sampling,
                task,
                unsafe=self._settings.utility_unsafe_execution,
                greedy=True,
                held_out=self._held_out,
            )

    def report(self, before: UtilityScore, after: UtilityScore) -> dict[str, Any]:
        """Return the comparison of two scores, as in the report."""
        from erasetest.utility import utility_report

        return utility_report(before, after, margin=self._settings.utility_margin)
