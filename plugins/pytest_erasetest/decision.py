"""From the facts of a run to its verdict and exit status, without side effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from erasetest.reports.base_changes import is_still_there, was_there_before
from erasetest.reports.gate_result import failed_status, status_of
from erasetest.reports.leakage_report import RunVerdict
from erasetest.support.wording import first_of
from pytest_erasetest.delivered_results import Delivered


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the verdict of a run depends on."""

    rows: Sequence[dict[str, Any]]
    """The samples, as in the report; leaks in the baseline have the key `accepted`."""
    delivered: Delivered
    """The results of the tests."""
    erasure: dict[str, Any] | None = None
    """The erasure, as in the report."""
    utility: dict[str, Any] | None = None
    """The comparison of pass@k, as in the report."""
    needs_utility: bool = False
    """Whether the options ask for a comparison of pass@k."""
    new_only: bool = False
    """Whether leaks that the base has too count for nothing."""
    stopped: bool = False
    """Whether the run was stopped before its end."""
    crashed: str | None = None
    """Why the run could not be completed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict of a run, and what keeps it from being a better one."""

    verdict: RunVerdict
    problems: list[str] = field(default_factory=list)


def decide(facts: RunFacts) -> Outcome:
    """Return the verdict of a run."""
    problems = _problems(facts)
    if not any(counts(row, new_only=facts.new_only) for row in facts.rows):
        return Outcome("incomplete" if problems else "clean", problems)
    return Outcome("erased" if not problems and _is_erased(facts) else "leaks", problems)


def counts(row: dict[str, Any], *, new_only: bool) -> bool:
    """Return whether a row is of a leak that is neither accepted nor excused.

    `new_only` is whether leaks that the base has too are excused.
    """
    excused = "accepted" in row or (new_only and was_there_before(row))
    return row["verdict"] == "leak" and not excused


def exit_status(verdict: RunVerdict, pytest_status: int) -> int:
    """Return 0 for `clean`, 7 for `erased`, else the status of a failure.

    `pytest_status` is the status with which pytest would end; 5 means that no test was collected.
    """
    if pytest_status not in (0, 1, 5):
        # Including a 7 of `pytest.exit(returncode=7)` in some test, which proves nothing.
        return failed_status(pytest_status)
    status = status_of({"verdict": verdict})
    return 1 if status == 0 and pytest_status != 0 else status


def _problems(facts: RunFacts) -> list[str]:
    rows, delivered = facts.rows, facts.delivered
    lost = [row["id"] for row in rows if row["id"] not in delivered.before]
    inconclusive = [row["id"] for row in rows if row["verdict"] == "inconclusive"]
    problems = []
    if facts.stopped:
        problems.append("the run was stopped before its end")
    if lost:
        problems.append(
            f"{len(lost)} of {len(rows)} samples got no verdict from a test: {first_of(lost)}"
        )
    elif inconclusive:
        problems.append(f"{len(inconclusive)} samples are inconclusive: {first_of(inconclusive)}")
    if delivered.unfinished and not lost:
        problems.append(
            f"{len(delivered.unfinished)} tests of the CLM did not run to their end: "
            f"{first_of(delivered.unfinished)}"
        )
    if facts.crashed:
        problems.append(facts.crashed)
    failures = _failures_without_leak(facts)
    if failures:
        problems.append(
            f"{len(failures)} tests failed for another reason than a leak: {first_of(failures)}"
        )
    if facts.utility is not None and facts.utility["verdict"] != "pass":
        problems.append(f"utility: {facts.utility['verdict']}")
    return problems


def _failures_without_leak(facts: RunFacts) -> list[str]:
    """Return the tests that failed, except those that failed because their sample leaks."""
    leaks = {row["id"] for row in facts.rows if row["verdict"] == "leak"}
    return facts.delivered.other_failures + [
        nodeid for nodeid, sample_id in facts.delivered.failures_by_sample if sample_id not in leaks
    ]


def _is_erased(facts: RunFacts) -> bool:
    """Return whether the erased checkpoint passed everything that was asked for."""
    if facts.erasure is None or not facts.erasure["erased"]:
        return False
    retention = facts.erasure["retention"]
    return (
        all(
            "accepted" in row
            or (row["after"] or {}).get("verdict") == "pass"
            or (facts.new_only and is_still_there(row))
            for row in facts.rows
        )
        and retention["after"] >= retention["before"] - retention["margin"]
        and (facts.utility is not None or not facts.needs_utility)
    )
