"""Results of tests: repeated tests, reports that other plugins keep, runs without a terminal."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import tiny
from pytest_erasetest.delivered_results import Delivered

from erasetest.samples import write_manifest

# As pytest-retry 1.7 does: the first report is shown as `retried`, then changed and shown again.
RETRY = """
import pytest

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when != "call" or not report.failed:
        return report
    report.outcome = "retried"
    item.ihook.pytest_runtest_logreport(report=report)
    again = pytest.TestReport.from_item_and_call(
        item, pytest.CallInfo.from_call(lambda: item.ihook.pytest_runtest_call(item=item), "call")
    )
    report.outcome, report.longrepr = again.outcome, again.longrepr
    return report

def pytest_report_teststatus(report):
    return ("retried", "R", "RETRY") if report.outcome == "retried" else None
"""

# As pytest-rerunfailures does: the whole protocol runs again, with separate reports.
RERUN = """
import pytest
from _pytest.runner import runtestprotocol

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    for attempt in (1, 2):
        item._initrequest()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        again = attempt == 1 and any(report.failed for report in reports)
        for report in reports:
            if again and report.failed:
                report.outcome = "rerun"
            item.ihook.pytest_runtest_logreport(report=report)
        if not again:
            return True

def pytest_report_teststatus(report):
    return ("rerun", "R", "RERUN") if report.outcome == "rerun" else None
"""

HOLDER = """
import pytest

held = []

def content(report):
    return (
        report.outcome, str(report.longrepr), list(report.sections),
        list(report.user_properties), sorted(report.__dict__),
    )

@pytest.hookimpl(tryfirst=True, wrapper=True)
def pytest_runtest_makereport():
    report = yield
    held.append((report, content(report)))
    return report

@pytest.hookimpl(trylast=True)
def pytest_unconfigure():
    assert len(held) == 6
    for report, before in held:
        assert content(report) == before, (report.nodeid, report.when)
"""


def _run(
    pytester: pytest.Pytester, url: str, plugin: str, *arguments: str, test: str = ""
) -> tuple[pytest.RunResult, dict[str, Any]]:
    pytest.importorskip("httpx")
    write_manifest(pytester.path / "samples.jsonl", tiny.PLANTED[-2:])
    own = test or "def test_mine(leak): assert leak.verdict == 'pass'\n"
    pytester.makepyfile(other=plugin, test_mine=own)
    pytester.syspathinsert()
    run = pytester.runpytest_inprocess(
        "test_mine.py", "-p", "no:hypothesispytest", "-p", "no:xdist", "-p", "other",
        f"--clm={url}", "--leak-samples=samples.jsonl", "--leak-report=r.json", *arguments,
    )  # fmt: skip
    report: dict[str, Any] = json.loads((pytester.path / "r.json").read_text())
    return run, report


@pytest.mark.parametrize("plugin", [RETRY, RERUN], ids=["retry", "rerunfailures"])
def test_a_leak_in_a_repeated_test_is_a_leak(
    pytester: pytest.Pytester, urls: dict[bool, str], plugin: str
) -> None:
    """It is not a failure for another reason, which would refuse an erased checkpoint."""
    run, report = _run(pytester, urls[True], plugin)
    assert run.ret == 1
    run.stdout.fnmatch_lines(["*2 failed, 2 re*"])
    assert report["verdict"] == "leaks"
    assert report["problems"] == []


@pytest.mark.parametrize("plugin", [RETRY, RERUN], ids=["retry", "rerunfailures"])
def test_the_last_attempt_counts(
    pytester: pytest.Pytester, urls: dict[bool, str], plugin: str
) -> None:
    """A test that fails and then passes has passed; one whose last attempt fails has failed."""
    once = (
        "seen = set()\n"
        "def test_mine(leak):\n"
        "    first, _ = leak.id not in seen, seen.add(leak.id)\n"
        "    assert first is {}\n"
    )
    run, report = _run(pytester, urls[False], plugin, test=once.format(False))
    assert run.ret == 0, run.outlines
    assert report["verdict"] == "clean"
    run, report = _run(pytester, urls[False], plugin, test=once.replace("first is {}", "False"))
    assert run.ret == 1
    assert report["verdict"] == "incomplete"


def test_reports_that_other_plugins_keep_are_not_changed(
    pytester: pytest.Pytester, urls: dict[bool, str]
) -> None:
    """Nothing is changed or added from the first hook to the end of the session."""
    # pytest-html, where it is installed, adds an attribute.
    run, report = _run(pytester, urls[True], HOLDER, "--junitxml=junit.xml", "-p", "no:html")
    assert run.ret == 1, run.outlines
    assert report["verdict"] == "leaks"
    assert "INTERNALERROR" not in run.stdout.str() + run.stderr.str()
    assert "erasetest" not in (pytester.path / "junit.xml").read_text()


@pytest.mark.parametrize("leaks", [True, False])
@pytest.mark.parametrize("name", ["terminal", "capture", "logging", "junitxml", "cacheprovider"])
def test_pytest_can_run_without_some_of_its_plugins(
    pytester: pytest.Pytester, urls: dict[bool, str], name: str, leaks: bool
) -> None:
    """The status and the report are as with them."""
    run, report = _run(pytester, urls[leaks], "", "-p", f"no:{name}")
    assert run.ret == (1 if leaks else 0), run.outlines + run.errlines
    assert report["verdict"] == ("leaks" if leaks else "clean")
    assert "INTERNALERROR" not in run.stdout.str() + run.stderr.str()


def _report(outcome: str, when: str, *verdicts: str, worker: str = "") -> pytest.TestReport:
    report = pytest.TestReport("t", ("f", 1, "t"), {}, outcome, None, when)  # type: ignore[arg-type]
    report.__dict__["erasetest_verdicts"] = list(verdicts)
    if worker:
        report.__dict__["worker_id"] = worker
    return report


def test_recording_does_not_change_a_report() -> None:
    """Other plugins have references to it, and may send it again."""
    delivered, report = Delivered(), _report("failed", "call", "before a")
    before = copy.deepcopy(report.__dict__)
    delivered.record(report)
    delivered.record(report)
    assert report.__dict__ == before
    assert delivered.failures_by_sample == [("t", "a")]


def test_an_unfinished_attempt_delivers_nothing() -> None:
    """A setup without a call delivers no verdict, nor does an outcome of a repeated attempt."""
    delivered = Delivered(tests={"t"})
    delivered.record(_report("passed", "setup", "before a"))
    assert (delivered.before, delivered.unfinished) == (set(), ["t"])
    delivered.record(_report("rerun", "call", "before a"))
    assert (delivered.before, delivered.unfinished) == (set(), ["t"])
    delivered.record(_report("passed", "setup", "before a"))
    delivered.record(_report("passed", "call", "before a"))
    assert (delivered.before, delivered.unfinished) == ({"a"}, [])
    assert delivered.other_failures == []


def test_two_workers_that_run_one_test_both_count() -> None:
    """`--dist each`: what passes in one place does not hide what fails in another."""
    delivered = Delivered()
    for worker, outcome in (("gw0", "failed"), ("gw1", "passed")):
        delivered.record(_report("passed", "setup", worker=worker))
        delivered.record(_report(outcome, "call", worker=worker))
    assert delivered.other_failures == ["t"]
