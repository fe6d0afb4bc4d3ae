"""From what the tests delivered to the verdict of the run and its exit status."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from erasetest.errors import ErasetestError
from erasetest.reports.gate_result import failed_status, status_of
from erasetest.verdict.thresholds import Thresholds
from pytest_erasetest.accepted_leaks import few, write_baseline
from pytest_erasetest.gate import BLOCK
from pytest_erasetest.run_state import REFUSED, REQUEST, RunState
from pytest_erasetest.shared_results import SharedResults


def finish(session: pytest.Session, state: RunState, exitstatus: int | pytest.ExitCode) -> None:
    """Complete the run where it may be completed, and judge it in the process that ends it."""
    stopped = exitstatus not in (0, 1, 5) or bool(session.shouldstop) or bool(session.shouldfail)
    s = state.settings
    used = state.counts and bool(
        state.delivered.expected or s.leak_samples or s.leak_report or s.erase or s.demo
        or s.leak_baseline
    )  # fmt: skip
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
        output["erasetest_tests"] = sorted(state.delivered.tests)
        output["erasetest_crashed"] = state.crashed
        return
    refused = exitstatus == pytest.ExitCode.USAGE_ERROR or REFUSED in session.config.stash
    if not used or refused:
        state.finished = not refused
        return
    state.report = _judge(state, stopped)
    session.exitstatus = _status(state, exitstatus)
    _warn_of_baseline(state)
    _mark_checkpoint(state)
    _write(state, session)
    if state.settings.leak_accept and not stopped:
        try:
            _accept(state)
        except ErasetestError as error:
            state.crashed = str(error)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
    state.finished, state.status = True, int(session.exitstatus)
    request = session.config.stash.get(REQUEST, None)
    if request is not None:
        request.write(state.report, state.status)


def _judge(state: RunState, stopped: bool) -> dict[str, Any]:
    from erasetest.reports.leakage_report import LeakageReport, environment, sample_rows

    ledger, found, gate = state.gate.ledger, state.delivered, state.gate
    before, after = _measured(state, "before"), _measured(state, "after")
    thresholds = ledger.get("thresholds")
    limits = Thresholds.from_dict(thresholds) if thresholds else None
    report = LeakageReport(
        clm=ledger.get("clm") or {"name": state.settings.clm},
        thresholds=thresholds or {},
        samples=sample_rows(
            gate.given.samples, before, after, limits, _limits_after(ledger, limits)
        ),
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
            f"{len(lost)} of {len(rows)} samples got no verdict from a test: {few(lost)}"
        )
    elif unsure:
        report.problems.append(f"{len(unsure)} samples are inconclusive: {few(unsure)}")
    if found.unfinished and not lost:
        report.problems.append(
            f"{len(found.unfinished)} tests of the CLM were not run to their end: "
            f"{few(found.unfinished)}"
        )
    if state.crashed:
        report.problems.append(state.crashed)
    # A test that asked for the leak of a leaking sample may fail; that is what it is for.
    leaks = {row["id"] for row in rows if row["verdict"] == "leak"}
    others = found.other_failures + [
        nodeid for nodeid, sample_id in found.failures_by_sample if sample_id not in leaks
    ]
    if others:
        report.problems.append(
            f"{len(others)} tests failed for another reason than a leak: {few(others)}"
        )
    if report.utility is not None and report.utility["verdict"] != "pass":
        report.problems.append(f"utility: {report.utility['verdict']}")
    for row in rows:
        entry = gate.given.accepted.get(row["id"])
        if row["verdict"] == "leak" and entry is not None:
            row["accepted"] = {
                "reason": state.redactor.text(entry.reason),
                "expires": entry.expires,
            }
    leaking = [row for row in rows if row["verdict"] == "leak" and "accepted" not in row]
    report.verdict = (
        _leaking(state, report, leaking)
        if leaking
        else ("incomplete" if report.problems else "clean")
    )
    return report.as_dict()


def _limits_after(ledger: SharedResults, limits: Thresholds | None) -> Thresholds | None:
    erasure = (ledger.get("erasure") or {}).get("erasure")
    return Thresholds.from_dict(erasure["thresholds"]) if erasure else limits


def _leaking(state: RunState, report: Any, leaking: list[dict[str, Any]]) -> Any:
    """`erased` when nothing but the leaks of the given CLM speaks against the checkpoint."""
    if report.erasure is None or report.problems:
        return "leaks"
    kept = all(
        "accepted" in row or (row["after"] or {}).get("verdict") == "pass" for row in report.samples
    )
    retention = report.erasure["retention"]
    kept = kept and retention["after"] >= retention["before"] - retention["margin"]
    useful = state.settings.utility is None or report.utility is not None
    return "erased" if kept and useful and report.erasure["erased"] else "leaks"


def _status(state: RunState, exitstatus: int | pytest.ExitCode) -> int:
    """0 clean, 7 erased, 1 for all else that pytest itself would have let pass or failed."""
    if exitstatus not in (0, 1, 5):
        # Also somebody's own pytest.exit(returncode=7), which proves nothing.
        return failed_status(int(exitstatus))
    assert state.report is not None
    judged = status_of(state.report)
    return 1 if judged == 0 and exitstatus != 0 else judged


def _measured(state: RunState, phase: str) -> dict[str, Any]:
    from erasetest.probes.measures import SampleMeasures

    blocks = (len(state.gate.given.samples) + BLOCK - 1) // BLOCK
    rows = [row for n in range(blocks) for row in state.gate.ledger.get(f"{phase}-{n:05d}") or []]
    return {row["id"]: SampleMeasures.from_dict(row) for row in rows}


def _mark_checkpoint(state: RunState) -> None:
    """Whoever finds a checkpoint that did not pass shall read so in its folder."""
    from erasetest.erasing.model_card import refuse

    assert state.report is not None
    erasure = state.report["erasure"]
    if erasure is None or erasure["checkpoint"] is None or state.report["verdict"] == "erased":
        return
    folder = state.gate.ledger.get("erasure")["folder"]
    try:
        refuse(Path(folder), state.report["verdict"], state.report["problems"])
    except ErasetestError as error:
        state.notes.append(str(error))


def _warn_of_baseline(state: RunState) -> None:
    baseline = state.gate.given.baseline
    if baseline is not None:
        state.notes += baseline.warnings(state.gate.given.by_id)


def _write(state: RunState, session: pytest.Session) -> None:
    from erasetest.reports.write import write_report

    assert state.report is not None
    for path in state.settings.leak_report:
        try:
            write_report(path, state.report)
        except ErasetestError as error:
            state.crashed = str(error)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _accept(state: RunState) -> None:
    assert state.report is not None
    leaking = [row["id"] for row in state.report["samples"] if row["verdict"] == "leak"]
    path, today = str(state.settings.leak_baseline), datetime.date.today()
    known = state.gate.given.accepted
    new = write_baseline(path, known, leaking, today, state.settings.leak_baseline_days)
    state.notes.append(f"baseline {path}: {len(leaking)} leaks accepted, {new} of them new")
