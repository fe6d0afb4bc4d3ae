"""The utility score of a CLM: which completions solve their problems, and what else they show."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from erasetest.errors import BadInput
from erasetest.support.progress import Progress
from erasetest.utility.estimators import mean_pass_at_k
from erasetest.utility.problems import Problem
from erasetest.utility.sandbox import Attempt, Limits, Outcome, run_programs, sandbox_layers

REPETITION_NGRAM = 4
"""Length of the word n-grams that `repetition` counts."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts over the completions of one problem, without their text.

    `outcomes` counts them by "passed", "failed" and "timeout"; `parse` counts those that are valid
    Python; `repetition` is their mean fraction of repeated word 4-grams.
    """

    task_id: str
    outcomes: Mapping[str, int]
    parse: int
    repetition: float

    @property
    def passed(self) -> int:
        """Number of completions that solve the problem."""
        return self.outcomes["passed"]

    def as_dict(self) -> dict[str, Any]:
        """Return plain builtins."""
        return asdict(self)

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Tally:
        """Return the tally that `as_dict` was called on.

        Raises:
            TypeError: a key is missing, or is not one of a tally.
        """
        return cls(**row)


@dataclass(frozen=True, slots=True)
class UtilityScore:
    """Results of n completions per problem.

    `tallies` has one entry per problem; `greedy`, if requested, has the greedy completion of each.
    `layers` are the active layers of the sandbox. `held_out` is the likelihood of code that the CLM
    was not trained on. `how` describes how the completions were made.
    """

    samples_per_problem: int
    tallies: Sequence[Tally]
    layers: tuple[str, ...]
    greedy: Sequence[Tally] = ()
    held_out: Mapping[str, float] = field(default_factory=dict)
    how: Mapping[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> dict[str, int]:
        """Number of completions that passed, by the id of the problem."""
        return {tally.task_id: tally.passed for tally in self.tallies}

    @property
    def problems(self) -> int:
        """Number of problems."""
        return len(self.tallies)

    @property
    def outcomes(self) -> dict[str, int]:
        """Number of completions by "passed", "failed" and "timeout"."""
        counts = Counter[str]()
        for tally in self.tallies:
            counts.update(tally.outcomes)
        return {outcome.value: counts[outcome.value] for outcome in Outcome}

    @property
    def pass_at_k(self) -> dict[str, float]:
        """`{"pass@1": …, "pass@5": …, "pass@10": …}`, for each k up to the number of samples.

        With "greedy_pass@1" if greedy completions were requested.
        """
        rates = mean_pass_at_k(list(self.passed.values()), self.samples_per_problem)
        if self.greedy:
            rates["greedy_pass@1"] = statistics.fmean(tally.passed for tally in self.greedy)
        return rates

    @property
    def texts(self) -> dict[str, float]:
        """Fraction of completions that are valid Python (`parse`), and mean `repetition`."""
        completions = self.problems * self.samples_per_problem
        return {
            "parse": sum(tally.parse for tally in self.tallies) / completions,
            "repetition": statistics.fmean(tally.repetition for tally in self.tallies),
        }

    def as_dict(self) -> dict[str, Any]:
        """Return plain builtins, as `erasetest utility` writes them."""
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
            "tallies": [tally.as_dict() for tally in self.tallies],
            "greedy": [tally.as_dict() for tally in self.greedy],
        }

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> UtilityScore:
        """Return the score that `as_dict` was called on."""
        return cls(
            row["samples_per_problem"],
            [Tally.from_dict(tally) for tally in row["tallies"]],
            tuple(row["sandbox"]),
            tuple(Tally.from_dict(tally) for tally in row["greedy"]),
            dict(row["held_out"]),
            dict(row["how"]),
        )


def score_completions(
    problems: Sequence[Problem],
    completions: Sequence[Sequence[str]],
    *,
    limits: Limits | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    unsafe: bool = False,
    whole: bool = False,
) -> UtilityScore:
    """Run every completion of every problem in the sandbox and count the outcomes.

    Args:
        problems: P problems.
        completions: P lists of n completions each, already cut at their stops (`Problem.cut`).
        limits: what each program may use; None for the defaults of `Limits`.
        workers: number of programs that run at a time; None for one per CPU.
        progress: called with the number of completions done and the number of all.
        unsafe: run programs even if fewer layers of the sandbox are available than is safe.
        whole: each completion is a whole program, which includes what the prompt defines.

    Raises:
        BadInput: there is no problem, or the lists are not P lists of the same n >= 1.
        SandboxError: this machine cannot run generated programs safely, or one could not be run.
    """
    n = _samples_per_problem(problems, completions)
    programs = [
        problem.program(completion, whole=whole)
        for problem, texts in zip(problems, completions, strict=True)
        for completion in texts
    ]
    attempts = run_programs(
        programs, limits=limits, workers=workers, progress=progress, unsafe=unsafe
    )
    tallies = [
        _tally(problem.task_id, texts, attempts[i * n : (i + 1) * n])
        for i, (problem, texts) in enumerate(zip(problems, completions, strict=True))
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
    """Return the fraction of word 4-grams that occur earlier in the text; 0 if it has none.

    1 - distinct / all (Welleck et al. 2019, arXiv 1908.04319, "seq-rep-4"), over words and
    punctuation characters.
    """
    words = re.findall(r"\w+|[^\w\s]", text)
    ngrams = list(zip(*(words[start:] for start in range(REPETITION_NGRAM)), strict=False))
    return 1 - len(set(ngrams)) / len(ngrams) if ngrams else 0.0


def _samples_per_problem(problems: Sequence[Problem], completions: Sequence[Sequence[str]]) -> int:
    if not problems:
        raise BadInput("utility needs at least one problem")
    if len(completions) != len(problems):
        raise BadInput(
            f"{len(completions)} lists of completions given for {len(problems)} problems: "
            "expected one list per problem"
        )
    n = len(completions[0])
    for problem, texts in zip(problems, completions, strict=True):
        if len(texts) != n or n == 0:
            raise BadInput(
                f"{problem.task_id} has {len(texts)} completions and {problems[0].task_id} has "
                f"{n}: pass@k needs the same number, at least one, for each problem"
            )
    return n
