"""The protocol between `erasetest gate` and the pytest that it runs: one report per run.

The gate passes its child an open unnamed file and a nonce in an environment variable. The plugin
removes the variable before any test runs. At the end of the session it writes the leakage report to
the file, with the nonce and its process id. Another pytest that a test starts finds no variable and
has another process id.

Code in the child's process can read the nonce. This protects against accidents and other plugins,
not against a test that forges a report deliberately.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from erasetest.errors import BadInput
from erasetest.reports.base_changes import (
    change_of,
    is_still_there,
    new_only,
    was_there_before,
)
from erasetest.support.gate_variable import GATE_VARIABLE

ERASED = 7
"""Exit status: the CLM under test leaks, and the erased checkpoint passed every test."""

_SCHEMA = "erasetest.gate-result/1"


@dataclass(frozen=True, slots=True)
class Request:
    """The file that the child writes its result to, and the nonce of the run."""

    handle: int
    nonce: str

    @classmethod
    def make(cls, file: BinaryIO) -> Request:
        """Make a request for a result in this file, with a new nonce."""
        return cls(file.fileno(), secrets.token_hex(16))

    def as_variable(self) -> str:
        """Return the value of the environment variable."""
        return f"{self.handle}:{self.nonce}"

    @classmethod
    def take(cls, environment: MutableMapping[str, str]) -> Request | None:
        """Remove the request from the environment and return it; None if there is none.

        Raises:
            BadInput: the variable was not set by `erasetest gate`.
        """
        value = environment.pop(GATE_VARIABLE, None)
        if value is None:
            return None
        handle, _, nonce = value.partition(":")
        try:
            # Processes that this process starts must not be able to write to it.
            os.set_inheritable(int(handle), False)
            if nonce and stat.S_ISREG(os.fstat(int(handle)).st_mode):
                return cls(int(handle), nonce)
        except (ValueError, OSError, OverflowError):
            pass
        raise BadInput(f"{GATE_VARIABLE} is set: only `erasetest gate` may set it; unset it")

    def write(self, report: dict[str, Any], status: int) -> None:
        """Write the result of this process."""
        from erasetest.probes.measures import finite

        result = {
            "schema": _SCHEMA,
            "nonce": self.nonce,
            "pid": os.getpid(),
            "status": status,
            "report": report,
        }
        data = json.dumps(finite(result), allow_nan=False).encode()
        os.ftruncate(self.handle, 0)
        os.pwrite(self.handle, data, 0)


def read_result(file: BinaryIO, request: Request, pid: int) -> dict[str, Any] | str:
    """Return the report of the child with this process id, or the reason why there is none."""
    from erasetest.reports.leakage_report import schema_violation

    file.seek(0)
    data = file.read()
    if not data:
        return "pytest ended without a leakage report"
    try:
        result = json.loads(data)
        ours = (result["schema"], result["nonce"], result["pid"])
        report, status = result["report"], result["status"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return "the leakage report is incomplete"
    if ours != (_SCHEMA, request.nonce, pid):
        return "the leakage report is not of this run"
    wrong = schema_violation(report) or contradiction(report)
    if wrong is not None:
        return f"the leakage report contradicts itself: {wrong}"
    if status != status_of(report):
        return f"pytest was interrupted, or failed outside of its tests (status {status})"
    verified: dict[str, Any] = report
    return verified


def status_of(report: dict[str, Any]) -> int:
    """Return the exit status for the verdict of a report."""
    return {"clean": 0, "erased": ERASED}.get(report["verdict"], 1)


def contradiction(report: dict[str, Any]) -> str | None:
    """Return why the rows of a report contradict its verdict of `clean` or `erased`, if so."""
    verdict, rows = report["verdict"], report["samples"]
    if verdict not in ("clean", "erased"):
        return None
    if not rows:
        return f"{verdict}, without a sample"
    if report["problems"]:
        return f"{verdict}, with {len(report['problems'])} problems"
    if report["utility"] is not None and report["utility"]["verdict"] != "pass":
        return f"{verdict}, with utility {report['utility']['verdict']}"
    if verdict == "erased" and not (report["erasure"] or {}).get("erased"):
        return "erased, without a successful erasure"
    base = report.get("base")
    wrong = [row["id"] for row in rows if not _agrees_with_base(row, base)]
    if wrong:
        return f"{verdict}, although {len(wrong)} samples contradict their result on the base"
    bad = [row["id"] for row in rows if not _is_settled(row, verdict, old_count=not new_only(base))]
    return f"{verdict}, although {len(bad)} samples are not" if bad else None


def _agrees_with_base(row: dict[str, Any], base: dict[str, Any] | None) -> bool:
    """Return whether a row has a result on the base if there is one, and its change follows."""
    then = row.get("base")
    return (then is not None) == (base is not None) and row.get("change") == change_of(row, then)


def _is_settled(row: dict[str, Any], verdict: str, *, old_count: bool) -> bool:
    """Return whether a row agrees with a verdict of `clean` or `erased`.

    `old_count` is whether leaks that the base has too count.
    """
    if row["verdict"] == "leak" and "accepted" in row:
        return True
    if verdict == "erased":
        passed = (row["after"] or {}).get("verdict") == "pass"
        excused = not old_count and is_still_there(row)
        return row["verdict"] != "inconclusive" and (passed or excused)
    return bool(row["verdict"] == "pass") or (not old_count and was_there_before(row))


def final_status(process: int, judged: int) -> int:
    """Return the exit status of the gate from that of the process and that of its report.

    The report overrules a process that ended with 0. A process that failed stays failed: the reason
    may be another test, a signal, or a plugin, for example one that requires a test coverage.
    """
    return judged if process in (0, judged) else failed_status(process)


def failed_status(process: int) -> int:
    """Return the status for a process without a valid report: never 0 and never `ERASED`."""
    if process < 0:
        return 128 - process
    # Only the last eight bits of a status are kept: `pytest.exit(returncode=256)` would be 0.
    return 1 if process & 0xFF in (0, ERASED) else process
