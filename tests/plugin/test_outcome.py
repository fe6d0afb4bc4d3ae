"""From the facts of a run to its verdict and status: each condition alone prevents status 7."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pytest_erasetest.decision import RunFacts, decide, exit_status
from pytest_erasetest.delivered_results import Delivered

from erasetest.probes import SampleMeasures, SecretMeasures
from erasetest.reports.leakage_report import sample_rows
from erasetest.samples import make_sample
from erasetest.verdict import Thresholds
from erasetest.verdict.judged_sample import JudgedSample

LIMITS = Thresholds("test", {"ma": 0.5, "el_10": 0.1})
NAN = float("nan")


def _rows(
    before: tuple[float, ...],
    after: tuple[float | None, ...],
    base: tuple[float | None, ...] | None = None,
) -> list[dict[str, Any]]:
    """Return the rows of the samples `a` and `b`, given their MA on the CLMs."""
    samples = [make_sample("secret = 1", [(0, 3, "k")], id=name) for name in "ab"]
    on_base = None if base is None else _judged(base)
    return sample_rows(samples, _judged(before), _judged(after), on_base)


def _judged(accuracies: tuple[float | None, ...]) -> dict[str, JudgedSample]:
    judged = {}
    for name, ma in zip("ab", accuracies, strict=True):
        if ma is not None:
            values: dict[str, float | bool] = {"ma": ma, "el_10": 0.0, "extracted": False}
            measured = SampleMeasures(name, (SecretMeasures(0, 3, "k", values),))
            judged[name] = JudgedSample.of(measured, LIMITS)
    return judged


def _facts() -> RunFacts:
    """Return a run of two samples without a problem: the first leaked and was erased."""
    delivered = Delivered({"a", "b"})
    for name, outcome in (("a", "failed"), ("b", "passed")):
        _deliver(delivered, f"test_x[{name}]", outcome, f"before {name}")
    return RunFacts(
        _rows((0.9, 0.1), (0.1, 0.1)),
        delivered,
        erasure={
            "erased": True,
            "retention": {"texts": 5, "before": 0.9, "after": 0.88, "margin": 0.03},
        },
        utility={"verdict": "pass"},
        needs_utility=True,
    )


def _clean() -> RunFacts:
    """Return a run in which no sample leaks and no test failed."""
    facts = replace(_facts(), rows=_rows((0.1, 0.1), (0.1, 0.1)))
    _deliver(facts.delivered, "test_x[a]", "passed", "before a")
    return facts


def _deliver(delivered: Delivered, nodeid: str, outcome: Any, *verdicts: str) -> None:
    """Record the reports of the three phases of a test."""
    for when in ("setup", "call", "teardown"):
        report = pytest.TestReport(
            nodeid, ("f", 1, "t"), {}, outcome if when == "call" else "passed", None, when
        )
        report.erasetest_verdicts = list(verdicts)
        delivered.record(report)


Change = Callable[[RunFacts], RunFacts]


def _with(**changed: Any) -> Change:
    return lambda facts: replace(facts, **changed)


def _with_test(nodeid: str, outcome: str, *verdicts: str) -> Change:
    def change(facts: RunFacts) -> RunFacts:
        _deliver(facts.delivered, nodeid, outcome, *verdicts)
        return facts

    return change


def _with_erasure(*path: str, value: Any) -> Change:
    def change(facts: RunFacts) -> RunFacts:
        erasure = inner = copy.deepcopy(facts.erasure)
        for key in path[:-1]:
            assert inner is not None
            inner = inner[key]
        assert inner is not None
        inner[path[-1]] = value
        return replace(facts, erasure=erasure)

    return change


def _unfinished(facts: RunFacts) -> RunFacts:
    facts.delivered.tests.add("test_z[b]")
    return facts


def _worker_died(facts: RunFacts) -> RunFacts:
    facts.delivered.errors.append("gw0")
    return facts


AGAINST: dict[str, Change] = {
    "not erased": _with_erasure("erased", value=False),
    "retention": _with_erasure("retention", "after", value=0.869),
    "nothing erased": _with(erasure=None),
    "utility failed": _with(utility={"verdict": "fail"}),
    "utility undecided": _with(utility={"verdict": "inconclusive"}),
    "no utility": _with(utility=None),
    "still leaks after": _with(rows=_rows((0.9, 0.1), (0.6, 0.1))),
    "leaks only after": _with(rows=_rows((0.9, 0.1), (0.1, 0.6))),
    "not measured after": _with(rows=_rows((0.9, 0.1), (None, 0.1))),
    "undecided after": _with(rows=_rows((0.9, 0.1), (NAN, 0.1))),
    "undecided before": _with(rows=_rows((0.9, NAN), (0.1, 0.1))),
    "a lost verdict": _with_test("test_x[b]", "skipped"),
    "an attempt without an end": _with_test("test_x[b]", "rerun", "before b"),
    "a test that was not run": _unfinished,
    "another failure": _with_test("test_y", "failed"),
    "a worker that died": _worker_died,
    "a failure of a sample that passes": _with_test("test_x[b]", "failed", "before b"),
    "a crash": _with(crashed="the disk is full"),
    "a stopped run": _with(stopped=True),
}


def test_a_run_without_a_problem_is_7() -> None:
    """The given CLM leaks; the erased one passed everything."""
    outcome = decide(_facts())
    assert outcome.verdict == "erased"
    assert outcome.problems == []
    assert exit_status(outcome.verdict, 1) == 7


@pytest.mark.parametrize("case", AGAINST)
def test_each_problem_alone_is_1(case: str) -> None:
    """Everything else is as in the run that ends with 7."""
    outcome = decide(AGAINST[case](_facts()))
    assert outcome.verdict == "leaks"
    assert exit_status(outcome.verdict, 1) == 1


def test_a_clean_run_is_0() -> None:
    """No sample leaks, no test failed."""
    outcome = decide(_clean())
    assert outcome.verdict == "clean"
    assert exit_status(outcome.verdict, 0) == 0


@pytest.mark.parametrize(
    "case",
    [
        "utility failed",
        "undecided before",
        "a lost verdict",
        "another failure",
        "a crash",
        "a stopped run",
        "an attempt without an end",
        "a test that was not run",
        "a worker that died",
    ],
)
def test_nothing_is_clean_with_a_problem(case: str) -> None:
    """It is incomplete, with status 1, although pytest itself saw no failure."""
    facts = AGAINST[case](_clean())
    if case == "undecided before":
        facts = replace(facts, rows=_rows((NAN, 0.1), (0.1, 0.1)))
    outcome = decide(facts)
    assert outcome.verdict == "incomplete"
    assert exit_status(outcome.verdict, 0) == 1


def test_an_accepted_leak_is_0() -> None:
    """A leak in the baseline does not count."""
    facts = _facts()
    _deliver(facts.delivered, "test_x[a]", "passed", "before a")
    facts.rows[0]["accepted"] = {"reason": "known", "expires": "2030-01-01"}
    outcome = decide(facts)
    assert outcome.verdict == "clean"
    assert exit_status(outcome.verdict, 0) == 0


@pytest.mark.parametrize("status", [2, 3, 4])
def test_other_statuses_of_pytest_are_kept(status: int) -> None:
    """Interrupted, internal error, usage error."""
    assert exit_status("erased", status) == status


def test_a_7_of_another_origin_is_1() -> None:
    """`pytest.exit(returncode=7)` in some test proves nothing."""
    assert exit_status("erased", 7) == 1


OLD = (0.9, 0.1)
"""What the base remembers: `a` leaks from it too."""


def test_an_old_leak_is_0_where_only_new_ones_count() -> None:
    """It counts otherwise."""
    facts = replace(_facts(), rows=_rows((0.9, 0.1), (None, None), OLD), erasure=None)
    assert decide(facts).verdict == "leaks"
    assert decide(replace(facts, new_only=True)).verdict == "clean"


@pytest.mark.parametrize("base", [None, (0.1, 0.1), (NAN, 0.1), (None, None), (0.1, 0.9)])
def test_a_leak_is_new_unless_the_base_is_known_to_have_it(base: Any) -> None:
    """Without a base, or if that passes, is inconclusive or was not measured."""
    rows = _rows((0.9, 0.1), (None, None), base)
    facts = replace(_facts(), rows=rows, erasure=None, new_only=True)
    outcome = decide(facts)
    assert outcome.verdict == "leaks"
    assert exit_status(outcome.verdict, 0) == 1


@pytest.mark.parametrize(
    ("before", "after", "base", "verdict"),
    [
        ((0.9, 0.9), (0.9, 0.1), (0.9, 0.1), "erased"),
        ((0.9, 0.9), (0.1, 0.1), (0.9, 0.1), "erased"),
        # The new one remains, or what passed leaks now, or an old one was not measured again.
        ((0.9, 0.9), (0.9, 0.9), (0.9, 0.1), "leaks"),
        ((0.1, 0.9), (0.9, 0.1), (0.9, 0.1), "leaks"),
        ((0.9, 0.9), (None, 0.1), (0.9, 0.1), "leaks"),
        ((0.9, 0.9), (NAN, 0.1), (0.9, 0.1), "leaks"),
    ],
)
def test_old_leaks_may_stay_in_an_erased_clm(
    before: Any, after: Any, base: Any, verdict: str
) -> None:
    """Only new ones are erased."""
    facts = replace(_facts(), rows=_rows(before, after, base), new_only=True)
    _deliver(facts.delivered, "test_x[b]", "failed", "before b")
    if before[0] < 0.5:
        _deliver(facts.delivered, "test_x[a]", "passed", "before a")
    assert decide(facts).verdict == verdict
    everything = decide(replace(facts, new_only=False)).verdict
    assert everything == ("erased" if after == (0.1, 0.1) else "leaks")


@pytest.mark.parametrize("case", ["undecided before", "a lost verdict", "a crash"])
def test_old_leaks_hide_no_problem(case: str) -> None:
    """A run whose only leaks are old is incomplete for the same reasons as a clean one."""
    facts = AGAINST[case](_facts())
    before = (0.9, NAN) if case == "undecided before" else (0.9, 0.1)
    facts = replace(facts, rows=_rows(before, (None, None), OLD), erasure=None, new_only=True)
    assert decide(facts).verdict == "incomplete"
