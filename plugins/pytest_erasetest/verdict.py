"""From what the tests delivered to the verdict of the run and its exit status."""

from __future__ import annotations

import datetime
from dataclasses import asdict
from typing import Any

import pytest

from erasetest.errors import ErasetestError
from erasetest.verdict.thresholds import Thresholds
from pytest_erasetest.baseline import write_baseline
from pytest_erasetest.gate import BLOCK, LEAK_PROPERTY, VERDICT_PROPERTY
from pytest_erasetest.ledger import Ledger
from pytest_erasetest.state import State, state_of

ERASED = 7
"""Exit status: the given CLM leaks, and the erased checkpoint passed every test."""


def record(config: pytest.Config, report: pytest.TestReport) -> None:
    """Take note of a test's report, and take our properties off it."""
    state = state_of(config)
    if state is None:
        return
    found = state.delivered
    properties = dict.fromkeys(p for p in report.user_properties if p[0].startswith("erasetest."))
    report.user_properties = [p for p in report.user_properties if p not in properties]
    leaks = {str(value) for name, value in properties if name == LEAK_PROPERTY}
    if report.when == "call" and report.passed:
        found.passed += 1
    if report.failed:
        if report.when == "call" and leaks:
            found.leak_failures |= leaks
        else:
            found.other_failures.append(report.nodeid)
    if report.when == "teardown":
        return
    for name, value in properties:
        if name == VERDICT_PROPERTY:
            phase, _, sample_id = str(value).partition(" ")
            (found.before if phase == "before" else found.after).add(sample_id)


def record_error(config: pytest.Config, nodeid: str) -> None:
    """Take note of an error while collecting."""
    state = state_of(config)
    if state is not None:
        state.delivered.other_failures.append(nodeid)


def finish(session: pytest.Session, state: State, exitstatus: int | pytest.ExitCode) -> None:
    """Complete the run where it may be completed, and judge it in the process that ends it."""
    stopped = exitstatus not in (0, 1, 5) or bool(session.shouldstop) or bool(session.shouldfail)
    used = bool(state.delivered.expected)
    distributed = session.config.pluginmanager.hasplugin("dsession")
    if used and not stopped and not distributed:
        try:
            state.gate.finish()
        except ErasetestError as error:
            state.crashed = str(error)
        except Exception as error:
            # Whatever broke has been shown by the test that it broke first; here it must not hide
            # the report of all that was found out before.
            state.crashed = f"{type(error).__name__} while finishing"
    if state.worker:
        output: dict[str, Any] = session.config.workeroutput  # type: ignore[attr-defined]
        output["erasetest_expected"] = sorted(state.delivered.expected)
        output["erasetest_crashed"] = state.crashed
        return
    if not used:
        return
    state.report = _judge(state, stopped)
    session.exitstatus = _status(state, exitstatus)
    _write(state, session)
    if state.settings.leak_accept and not stopped:
        _accept(state)


def _judge(state: State, stopped: bool) -> dict[str, Any]:
    from erasetest.reports.document import LeakageReport, environment, sample_rows

    ledger, found, gate = state.gate.ledger, state.delivered, state.gate
    before, after = _measured(state, "before"), _measured(state, "after")
    thresholds = ledger.get("thresholds")
    limits = Thresholds.from_dict(thresholds) if thresholds else None
    report = LeakageReport(
        clm=ledger.get("clm") or {"name": state.settings.clm},
        thresholds=thresholds or {},
        samples=sample_rows(gate.samples, before, after, limits, _limits_after(ledger, limits)),
        erasure=(ledger.get("erasure") or {}).get("erasure"),
        utility=(ledger.get("utility") or {}).get("utility"),
        environment=environment(),
    )
    rows = report.samples
    lost = [row["id"] for row in rows if row["id"] not in found.before]
    unsure = [row["id"] for row in rows if row["verdict"] == "inconclusive"]
    if stopped:
        report.problems.append("the run was stopped before its end")
    if lost:
        report.problems.append(
            f"{len(lost)} of {len(rows)} samples got no verdict from a test: {_few(lost)}"
        )
    elif unsure:
        report.problems.append(f"{len(unsure)} samples are inconclusive: {_few(unsure)}")
    if state.crashed:
        report.problems.append(state.crashed)
    if found.other_failures:
        report.problems.append(
            f"{len(found.other_failures)} tests failed for another reason than a leak: "
            f"{_few(found.other_failures)}"
        )
    for row in rows:
        if row["verdict"] == "leak" and row["id"] in gate.baseline:
            row["accepted"] = asdict(gate.baseline[row["id"]])
    leaking = [row for row in rows if row["verdict"] == "leak" and "accepted" not in row]
    report.verdict = (
        _leaking(state, report, leaking)
        if leaking
        else ("incomplete" if report.problems else "clean")
    )
    return report.as_dict()


def _limits_after(ledger: Ledger, limits: Thresholds | None) -> Thresholds | None:
    erasure = (ledger.get("erasure") or {}).get("erasure")
    return Thresholds.from_dict(erasure["thresholds"]) if erasure else limits


def _leaking(state: State, report: Any, leaking: list[dict[str, Any]]) -> Any:
    """`erased` when nothing but the leaks of the given CLM speaks against the checkpoint."""
    if report.erasure is None or report.problems:
        return "leaks"
    kept = all(
        "accepted" in row or (row["after"] or {}).get("verdict") == "pass" for row in report.samples
    )
    retention = report.erasure["retention"]
    kept = kept and retention["after"] >= retention["before"] - retention["margin"]
    useful = state.settings.utility is None or (report.utility or {}).get("verdict") == "pass"
    return "erased" if kept and useful and report.erasure["erased"] else "leaks"


def _status(state: State, exitstatus: int | pytest.ExitCode) -> int:
    """0 clean, 7 erased, 1 for all else that pytest itself would have let pass or failed."""
    if exitstatus not in (0, 1, 5):
        return int(exitstatus)
    assert state.report is not None
    if state.report["verdict"] == "erased":
        return ERASED
    if state.report["verdict"] == "clean" and exitstatus == 0:
        return 0
    return 1


def _measured(state: State, phase: str) -> dict[str, Any]:
    from erasetest.probes.measures import SampleMeasures

    blocks = (len(state.gate.samples) + BLOCK - 1) // BLOCK
    rows = [row for n in range(blocks) for row in state.gate.ledger.get(f"{phase}-{n:05d}") or []]
    return {row["id"]: SampleMeasures.from_dict(row) for row in rows}


def _write(state: State, session: pytest.Session) -> None:
    from erasetest.reports.write import write_report

    assert state.report is not None
    for path in state.settings.leak_report:
        try:
            write_report(path, state.report)
        except ErasetestError as error:
            state.crashed = str(error)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _accept(state: State) -> None:
    assert state.report is not None
    leaking = [row["id"] for row in state.report["samples"] if row["verdict"] == "leak"]
    path, today = str(state.settings.leak_baseline), datetime.date.today()
    known = state.gate.baseline
    new = write_baseline(path, known, leaking, today)
    state.notes.append(f"baseline {path}: {len(leaking)} leaks accepted, {new} of them new")


def _few(names: list[str], shown: int = 5) -> str:
    rest = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + rest
