"""The utility of a CLM: which of its completions solve their problems, and what else they show."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from erasetest.errors import BadInput
from erasetest.utility.estimators import mean_pass_at_k
from erasetest.utility.problems import Problem
from erasetest.utility.sandbox import Attempt, Limits, Outcome, run_programs, sandbox_layers

REPEATED = 4
"""Words in a row that count as repeated when they stand there twice."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the completions of one problem: numbers alone, none of what was written.

    `outcomes` counts them by "passed", "failed" and "timeout"; `parse` of them are Python;
    `repetition` is the mean share of repeated word 4-grams.
    """

    task_id: str
    outcomes: Mapping[str, int]
    parse: int
    repetition: float

    @property
    def passed(self) -> int:
        """How many solve the problem."""
        return self.outcomes["passed"]

    def to_json(self) -> dict[str, Any]:
        """Plain builtins: the arguments of a tally."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class UtilityScore:
    """What became of n completions of each problem.

    `tallies` has one entry a problem; `greedy`, if it was asked for, the greedy completion of each;
    `layers` are the layers of the sandbox that held; `held_out` is how likely code is that nobody
    trained on; `how` says where the completions are from.
    """

    samples_per_problem: int
    tallies: Sequence[Tally]
    layers: tuple[str, ...]
    greedy: Sequence[Tally] = ()
    held_out: Mapping[str, float] = field(default_factory=dict)
    how: Mapping[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> dict[str, int]:
        """How many completions of each problem passed, by its id."""
        return {tally.task_id: tally.passed for tally in self.tallies}

    @property
    def problems(self) -> int:
        """How many problems there are."""
        return len(self.tallies)

    @property
    def outcomes(self) -> dict[str, int]:
        """All completions by "passed", "failed" and "timeout"."""
        counts = Counter[str]()
        for tally in self.tallies:
            counts.update(tally.outcomes)
        return {outcome.value: counts[outcome.value] for outcome in Outcome}

    @property
    def pass_at_k(self) -> dict[str, float]:
        """`{"pass@1": …, "pass@5": …, "pass@10": …}`, as far as the samples go.

        And "greedy_pass@1", where greedy completions were asked for.
        """
        rates = mean_pass_at_k(list(self.passed.values()), self.samples_per_problem)
        if self.greedy:
            rates["greedy_pass@1"] = statistics.fmean(tally.passed for tally in self.greedy)
        return rates

    @property
    def texts(self) -> dict[str, float]:
        """Shares of completions: those that `parse`, and the mean of their `repetition`."""
        written = self.problems * self.samples_per_problem
        return {
            "parse": sum(tally.parse for tally in self.tallies) / written,
            "repetition": statistics.fmean(tally.repetition for tally in self.tallies),
        }

    def to_json(self) -> dict[str, Any]:
        """Plain builtins; `from_json` reads them back."""
        return {
            "problems": self.problems,
            "samples_per_problem": self.samples_per_problem,
            **self.pass_at_k,
            "texts": self.texts,
            "held_out": dict(self.held_out),
            "outcomes": self.outcomes,
            "passed": self.passed,
            "sandbox": list(self.layers),
            "how": dict(self.how),
            "tallies": [tally.to_json() for tally in self.tallies],
            "greedy": [tally.to_json() for tally in self.greedy],
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> UtilityScore:
        """A score from what `to_json` gave."""
        return cls(
            given["samples_per_problem"],
            [Tally(**tally) for tally in given["tallies"]],
            tuple(given["sandbox"]),
            tuple(Tally(**tally) for tally in given["greedy"]),
            dict(given["held_out"]),
            dict(given["how"]),
        )


def score_completions(
    problems: Sequence[Problem],
    completions: Sequence[Sequence[str]],
    *,
    limits: Limits | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    unsafe: bool = False,
    whole: bool = False,
) -> UtilityScore:
    """Run every completion of every problem in the sandbox and count.

    Args:
        problems: P problems.
        completions: P lists of n completions each, cut already (`Problem.cut`).
        limits: see `run_programs`, as for the rest.
        workers: how many run at a time.
        progress: called with the number of completions done and the number of all.
        unsafe: see `run_programs`.
        whole: each completion is a program of its own, with what the prompt says in it.

    Raises:
        BadInput: there is no problem, or the lists are not P lists of the same n >= 1.
        SandboxError: see `run_programs`.
    """
    n = _samples_per_problem(problems, completions)
    programs = [
        problem.program(completion, whole=whole)
        for problem, group in zip(problems, completions, strict=True)
        for completion in group
    ]
    attempts = run_programs(
        programs, limits=limits, workers=workers, progress=progress, unsafe=unsafe
    )
    tallies = [
        _tally(problem.task_id, group, attempts[i * n : (i + 1) * n])
        for i, (problem, group) in enumerate(zip(problems, completions, strict=True))
    ]
    return UtilityScore(n, tallies, sandbox_layers())


def _tally(task_id: str, texts: Sequence[str], attempts: Sequence[Attempt]) -> Tally:
    counts = Counter(attempt.outcome for attempt in attempts)
    return Tally(
        task_id,
        {outcome.value: counts[outcome] for outcome in Outcome},
        sum(attempt.parses for attempt in attempts),
        statistics.fmean(map(repetition, texts)),
    )


def repetition(text: str) -> float:
    """The share of word 4-grams that stand earlier in the text already; 0 where there is none.

    1 - distinct / all (Welleck et al. 2019, "seq-rep-4"), over words and signs.
    """
    words = re.findall(r"\w+|[^\w\s]", text)
    grams = list(zip(*(words[start:] for start in range(REPEATED)), strict=False))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


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
