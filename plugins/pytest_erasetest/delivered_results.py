"""The results of the tests of a run, from all workers: outcomes, and verdicts on samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

_VERDICTS = pytest.StashKey[list[str]]()
"""On a test: the verdicts that its fixtures returned, each as `before ID` or `after ID`."""

_ATTRIBUTE = "erasetest_verdicts"
"""On a report: the same. pytest-xdist sends it with the report from a worker to the controller."""

_FINAL = frozenset({"passed", "failed", "skipped"})
"""Outcomes that end a test. Plugins that repeat tests have others, such as `rerun`."""


def deliver(item: pytest.Item, phase: str, sample_id: str) -> None:
    """Record that a fixture of a test returned the verdict on a sample.

    `phase` is `before` for the given CLM, `after` for the erased CLM.
    """
    item.stash.setdefault(_VERDICTS, []).append(f"{phase} {sample_id}")


def attach(report: pytest.TestReport, item: pytest.Item) -> None:
    """Attach the verdicts that a test received to its report."""
    verdicts: list[str] = item.stash.get(_VERDICTS, [])
    setattr(report, _ATTRIBUTE, list(dict.fromkeys(verdicts)))


@dataclass(frozen=True, slots=True)
class _PhaseResult:
    """The outcome of setup, call or teardown of a test, and the verdicts that it received."""

    outcome: str
    before: tuple[str, ...]
    """Ids of the samples whose verdict on the given CLM it received."""
    after: bool
    """Whether it also received a verdict on the erased CLM."""


@dataclass(slots=True)
class Delivered:
    """The results of the tests. If a test is repeated, its last attempt counts."""

    expected: set[str] = field(default_factory=set)
    """Ids of the samples for which tests were collected."""
    tests: set[str] = field(default_factory=set)
    """Node ids of the selected tests that ask for fixtures of the plugin."""
    errors: list[str] = field(default_factory=list)
    """Failures outside of tests: modules that cannot be collected, workers that died."""
    _attempts: dict[tuple[str, str], dict[str, _PhaseResult]] = field(default_factory=dict)
    """The phases of the last attempt, by node id and worker."""

    def record(self, report: pytest.TestReport) -> None:
        """Record a report, without changing it: other plugins have references to it."""
        key = (report.nodeid, getattr(report, "worker_id", ""))
        verdicts = [verdict.partition(" ")[::2] for verdict in getattr(report, _ATTRIBUTE, ())]
        result = _PhaseResult(
            report.outcome,
            tuple(sample_id for phase, sample_id in verdicts if phase == "before"),
            any(phase == "after" for phase, _ in verdicts),
        )
        if report.when == "setup":
            self._attempts[key] = {}
        self._attempts.setdefault(key, {})[str(report.when)] = result

    @property
    def before(self) -> set[str]:
        """Ids whose verdict on the given CLM was received by a test that ran to its end."""
        return {name for _, last in self._ended() for name in last.before}

    @property
    def unfinished(self) -> list[str]:
        """Tests that ask for fixtures of the plugin and did not run to their end."""
        return sorted(self.tests - {nodeid for nodeid, _ in self._ended()})

    @property
    def failures_by_sample(self) -> list[tuple[str, str]]:
        """Failed tests that only asked for the leak of one sample of the given CLM, with its id."""
        return [(n, result.before[0]) for n, result, about in self._failures() if about]

    @property
    def other_failures(self) -> list[str]:
        """All other failures."""
        return [*self.errors, *(nodeid for nodeid, _, about in self._failures() if not about)]

    def _ended(self) -> Iterator[tuple[str, _PhaseResult]]:
        for (nodeid, _), phases in self._attempts.items():
            last = phases.get("call") or phases.get("setup")
            in_call = "call" in phases
            if last and last.outcome in _FINAL and (in_call or last.outcome != "passed"):
                yield nodeid, last

    def _failures(self) -> Iterator[tuple[str, _PhaseResult, bool]]:
        for (nodeid, _), phases in self._attempts.items():
            for when, result in phases.items():
                if result.outcome == "failed":
                    about_a_leak = bool(result.before) and not result.after
                    yield nodeid, result, when == "call" and about_a_leak


class ResultRecorder:
    """The hooks that record results, in the process that computes the verdict."""

    def __init__(self, delivered: Delivered) -> None:
        self._delivered = delivered

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record the result of one phase of a test."""
        self._delivered.record(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record what cannot be collected."""
        if report.failed:
            self._delivered.errors.append(report.nodeid)
