"""What the tests of a run delivered, wherever they ran: outcomes, and verdicts on samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

TOLD = pytest.StashKey[list[str]]()
"""On a test: the verdicts that its fixtures handed out, each as `before ID` or `after ID`."""

_ATTRIBUTE = "erasetest_verdicts"
"""On a report: the same. It travels with the report from a worker to the controller."""

_FINAL = frozenset({"passed", "failed", "skipped"})
"""Outcomes that end a test. Plugins that repeat tests have others, such as `rerun`."""


def tell(item: pytest.Item, phase: str, sample_id: str) -> None:
    """Note that a test was given the verdict on a sample."""
    item.stash.setdefault(TOLD, []).append(f"{phase} {sample_id}")


def attach(report: pytest.TestReport, item: pytest.Item) -> None:
    """Put what a test was told on its report, when the report is made."""
    told: list[str] = item.stash.get(TOLD, [])
    setattr(report, _ATTRIBUTE, list(dict.fromkeys(told)))


@dataclass(frozen=True, slots=True)
class _Result:
    """The outcome of one phase of a test, and the ids that it was told of the given CLM."""

    outcome: str
    before: tuple[str, ...]
    after: bool
    """Whether it was also told of the erased CLM."""


@dataclass(slots=True)
class Delivered:
    """What came back from the tests. The last attempt of a test decides, where it is repeated."""

    expected: set[str] = field(default_factory=set)
    """Ids of the samples that tests were collected for."""
    tests: set[str] = field(default_factory=set)
    """Node ids of the tests that ask for fixtures of the plugin and were to be run."""
    errors: list[str] = field(default_factory=list)
    """What failed and is not a test: modules that cannot be collected, workers that died."""
    _attempts: dict[tuple[str, str], dict[str, _Result]] = field(default_factory=dict)
    """The phases of the last attempt, by node id and worker."""

    def record(self, report: pytest.TestReport) -> None:
        """Take note of a report. It is not changed: other plugins hold it too."""
        key = (report.nodeid, getattr(report, "worker_id", ""))
        told = [verdict.partition(" ")[::2] for verdict in getattr(report, _ATTRIBUTE, ())]
        result = _Result(
            report.outcome,
            tuple(sample_id for phase, sample_id in told if phase == "before"),
            any(phase == "after" for phase, _ in told),
        )
        if report.when == "setup":
            self._attempts[key] = {}
        self._attempts.setdefault(key, {})[str(report.when)] = result

    @property
    def before(self) -> set[str]:
        """Ids whose verdict on the given CLM was delivered by a test that ran to its end."""
        return {name for _, last in self._ended() for name in last.before}

    @property
    def unfinished(self) -> list[str]:
        """Tests that ask for fixtures of the plugin and did not run to their end."""
        return sorted(self.tests - {nodeid for nodeid, _ in self._ended()})

    @property
    def failures_by_sample(self) -> list[tuple[str, str]]:
        """Tests that failed having asked for the leak of one sample of the given CLM alone."""
        return [(n, result.before[0]) for n, result, about in self._failures() if about]

    @property
    def other_failures(self) -> list[str]:
        """All other failures."""
        return [*self.errors, *(nodeid for nodeid, _, about in self._failures() if not about)]

    def _ended(self) -> Iterator[tuple[str, _Result]]:
        for (nodeid, _), phases in self._attempts.items():
            last = phases.get("call") or phases.get("setup")
            in_call = "call" in phases
            if last and last.outcome in _FINAL and (in_call or last.outcome != "passed"):
                yield nodeid, last

    def _failures(self) -> Iterator[tuple[str, _Result, bool]]:
        for (nodeid, _), phases in self._attempts.items():
            for when, result in phases.items():
                if result.outcome == "failed":
                    about_a_leak = bool(result.before) and not result.after
                    yield nodeid, result, when == "call" and about_a_leak
