"""The utility of a CLM: which of its completions solve their problems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from erasetest.errors import BadInput
from erasetest.utility.passk import mean_pass_at_k
from erasetest.utility.problems import Problem
from erasetest.utility.sandbox import Limits, Outcome, run_programs, sandbox_layers


@dataclass(frozen=True, slots=True)
class UtilityScore:
    """What became of n completions of each problem.

    `passed` holds for each task id how many passed; `outcomes` counts all completions by
    "passed", "failed" and "timeout"; `layers` are the layers of the sandbox that held.
    """

    samples_per_problem: int
    passed: Mapping[str, int]
    outcomes: Mapping[str, int]
    layers: tuple[str, ...]

    @property
    def problems(self) -> int:
        """How many problems there are."""
        return len(self.passed)

    @property
    def pass_at_k(self) -> dict[str, float]:
        """`{"pass@1": …, "pass@5": …, "pass@10": …}`, as far as the samples go."""
        return mean_pass_at_k(list(self.passed.values()), self.samples_per_problem)

    def to_json(self) -> dict[str, Any]:
        """Plain builtins; `from_json` reads them back."""
        return {
            "problems": self.problems,
            "samples_per_problem": self.samples_per_problem,
            **self.pass_at_k,
            "outcomes": dict(self.outcomes),
            "passed": dict(self.passed),
            "sandbox": list(self.layers),
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> UtilityScore:
        """A score from what `to_json` gave."""
        return cls(
            given["samples_per_problem"],
            dict(given["passed"]),
            dict(given["outcomes"]),
            tuple(given["sandbox"]),
        )


def score_completions(
    problems: Sequence[Problem],
    completions: Sequence[Sequence[str]],
    *,
    limits: Limits | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    unsafe: bool = False,
) -> UtilityScore:
    """Run every completion of every problem in the sandbox and count.

    Args:
        problems: P problems.
        completions: P lists of n completions each, cut already (`Problem.cut`).
        limits: see `run_programs`, as for the rest.
        workers: how many run at a time.
        progress: called with the number of completions done and the number of all.
        unsafe: run them even where no limit holds.

    Raises:
        BadInput: there is no problem, or the lists are not P lists of the same n >= 1.
        SandboxError: see `run_programs`.
    """
    n = _samples_per_problem(problems, completions)
    programs = [
        problem.program(completion)
        for problem, group in zip(problems, completions, strict=True)
        for completion in group
    ]
    outcomes = run_programs(
        programs, limits=limits, workers=workers, progress=progress, unsafe=unsafe
    )
    counts = Counter(outcomes)
    return UtilityScore(
        samples_per_problem=n,
        passed={
            problem.task_id: outcomes[i * n : (i + 1) * n].count(Outcome.PASSED)
            for i, problem in enumerate(problems)
        },
        outcomes={outcome.value: counts[outcome] for outcome in Outcome},
        layers=sandbox_layers(),
    )


def _samples_per_problem(problems: Sequence[Problem], completions: Sequence[Sequence[str]]) -> int:
    if not problems:
        raise BadInput("utility needs at least one problem")
    if len(completions) != len(problems):
        raise BadInput(
            f"{len(completions)} lists of completions given for {len(problems)} problems"
        )
    n = len(completions[0])
    for problem, group in zip(problems, completions, strict=True):
        if len(group) != n or n == 0:
            raise BadInput(
                f"{problem.task_id} has {len(group)} completions and {problems[0].task_id} has "
                f"{n}: pass@k needs the same number, at least one, for each problem"
            )
    return n
