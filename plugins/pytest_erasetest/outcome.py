"""The end of a run: complete the measurements, compute the verdict, write the reports."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from erasetest.erasing.model_card import refuse
from erasetest.errors import ErasetestError
from erasetest.reports.leakage_report import Report, environment, sample_rows
from erasetest.reports.write import write_report
from pytest_erasetest.accepted_leaks import write_baseline
from pytest_erasetest.decision import Outcome, RunFacts, counts, decide, exit_status
from pytest_erasetest.run_state import RunState
from pytest_erasetest.sample_blocks import judged_samples
from pytest_erasetest.stash import REFUSED, REQUEST


def finish(session: pytest.Session, state: RunState, status: int | pytest.ExitCode) -> None:
    """Complete the run if possible; in the process that ends it, compute and write the verdict."""
    stopped = status not in (0, 1, 5) or bool(session.shouldstop) or bool(session.shouldfail)
    needs_verdict = state.counts and _names_samples(state)
    distributed = session.config.pluginmanager.hasplugin("dsession")
    if needs_verdict and not stopped and not distributed:
        _complete(state)
    if state.worker:
        _send_to_controller(session.config, state)
        return
    refused = status == pytest.ExitCode.USAGE_ERROR or REFUSED in session.config.stash
    if refused or not needs_verdict:
        state.finished = not refused
        return
    facts = collect(state, stopped=stopped)
    outcome = decide(facts)
    state.report = _report(state, facts, outcome)
    session.exitstatus = exit_status(outcome.verdict, int(status))
    if state.gate.inputs.baseline is not None:
        state.notes += state.gate.inputs.baseline.warnings(state.gate.inputs.by_id)
    _mark_checkpoint(state, outcome)
    for path in state.settings.leak_report:
        try:
            write_report(path, state.report)
        except ErasetestError as error:
            _fail(session, state, error)
    if state.settings.leak_accept and not stopped:
        try:
            _accept_leaks(state, facts)
        except ErasetestError as error:
            _fail(session, state, error)
    state.finished, state.status = True, int(session.exitstatus)
    request = session.config.stash.get(REQUEST, None)
    if request is not None:
        request.write(state.report, state.status)


def _names_samples(state: RunState) -> bool:
    """Return whether tests or options name samples, or anything that only makes sense for them."""
    s = state.settings
    return bool(
        state.delivered.expected
        or s.leak_samples
        or s.leak_report
        or s.leak_baseline
        or s.erase
        or s.demo
    )


def _complete(state: RunState) -> None:
    try:
        state.gate.finish()
    except ErasetestError as error:
        state.crashed = str(error)
    except Exception as error:
        # The test that met the error first has shown it; here it must not prevent the report of
        # everything that was measured before.
        state.crashed = f"{type(error).__name__} while finishing"


def _send_to_controller(config: pytest.Config, state: RunState) -> None:
    output: dict[str, Any] = config.workeroutput  # type: ignore[attr-defined]
    output["erasetest_expected"] = sorted(state.delivered.expected)
    output["erasetest_tests"] = sorted(state.delivered.tests)
    output["erasetest_crashed"] = state.crashed


def collect(state: RunState, *, stopped: bool) -> RunFacts:
    """Collect the facts of a run from the shared results and the tests.

    `stopped` is whether the run was stopped before its end.
    """
    gate = state.gate
    samples = gate.inputs.samples
    base = dict(judged_samples(gate.results, "base", len(samples)))
    rows = sample_rows(
        samples,
        dict(judged_samples(gate.results, "before", len(samples))),
        dict(judged_samples(gate.results, "after", len(samples))),
        base if state.settings.clm_base else None,
    )
    for row in rows:
        entry = gate.inputs.accepted.get(row["id"])
        if entry is not None and row["verdict"] == "leak":
            reason = state.redactor.text(entry.reason)
            row["accepted"] = {"reason": reason, "expires": entry.expires}
    return RunFacts(
        rows,
        state.delivered,
        erasure=(gate.results.get("erasure") or {}).get("erasure"),
        utility=(gate.results.get("utility") or {}).get("utility"),
        needs_utility=state.settings.utility is not None,
        new_only=state.settings.leak_new_only,
        stopped=stopped,
        crashed=state.crashed,
    )


def _report(state: RunState, facts: RunFacts, outcome: Outcome) -> dict[str, Any]:
    results = state.gate.results
    return Report(
        clm=results.get("clm") or {"name": state.settings.clm},
        thresholds=results.get("thresholds") or {},
        samples=list(facts.rows),
        erasure=facts.erasure,
        utility=facts.utility,
        base=_base(state),
        environment=environment(),
        problems=outcome.problems,
        verdict=outcome.verdict,
    ).as_dict()


def _base(state: RunState) -> dict[str, Any] | None:
    """Return the entry of the report about the base; None without one."""
    settings, results = state.settings, state.gate.results
    if settings.clm_base is None:
        return None
    return {
        **(results.get("base") or {"name": settings.clm_base}),
        "thresholds": results.get("base-thresholds") or {},
        "new_only": settings.leak_new_only,
    }


def _mark_checkpoint(state: RunState, outcome: Outcome) -> None:
    """Write into the model card of a checkpoint that it was not accepted, if so."""
    erasure = state.gate.results.get("erasure") or {}
    written = (erasure.get("erasure") or {}).get("checkpoint")
    if written is None or outcome.verdict == "erased":
        return
    try:
        refuse(Path(erasure["folder"]), outcome.verdict, outcome.problems)
    except ErasetestError as error:
        state.notes.append(str(error))


def _accept_leaks(state: RunState, facts: RunFacts) -> None:
    path, today = str(state.settings.leak_baseline), datetime.date.today()
    known = state.gate.inputs.accepted
    leaking = [
        row["id"] for row in facts.rows if counts(row, new_only=facts.new_only) or "accepted" in row
    ]
    new = write_baseline(path, known, leaking, today, state.settings.leak_baseline_days)
    state.notes.append(f"baseline {path}: {len(leaking)} leaks accepted, {new} of them new")


def _fail(session: pytest.Session, state: RunState, error: ErasetestError) -> None:
    state.crashed = str(error)
    session.exitstatus = pytest.ExitCode.TESTS_FAILED
