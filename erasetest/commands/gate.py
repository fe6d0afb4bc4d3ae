"""`erasetest gate`: pytest as a child process; the exit status is computed from its report."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from types import FrameType

import typer

from erasetest.errors import BadInput
from erasetest.reports.gate_result import (
    Request,
    failed_status,
    final_status,
    read_result,
    status_of,
)
from erasetest.support.gate_variable import GATE_VARIABLE

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

SETTINGS = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "allow_interspersed_args": False,
    "help_option_names": [],
}
"""How the command is registered: all arguments after its name are pytest's."""


def gate(context: typer.Context) -> None:
    """Run pytest, and exit with the status of the leakage report of this run.

    All arguments are pytest's: `erasetest gate --clm MODEL --leak-samples FILE …`. Without a test
    file or folder among them, the suites of erasetest run.

    Status 0: every sample has a verdict, and none leaks except for accepted leaks. Status 7: the
    CLM leaks, and the erased checkpoint passed every test. Any other status is a failure, whatever
    pytest, a plugin or a test makes of pytest's own status.
    """
    if context.args in (["--help"], ["-h"]):
        typer.echo(context.get_help())
        return
    raise typer.Exit(run_gate(context.args))


def start_pytest(arguments: list[str], request: Request) -> subprocess.Popen[bytes]:
    """Start pytest with these arguments; the child inherits the request."""
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "pytest", *arguments],
        pass_fds=[request.handle],
        env={**os.environ, GATE_VARIABLE: request.as_variable()},
        # Without a terminal, a signal to the process group would reach pytest twice, from the
        # sender and from the gate, which forwards it; a second Ctrl-C would cut pytest's shutdown
        # short. With a terminal, pytest must stay in the group that may read from it.
        process_group=None if _in_foreground() else 0,
        preexec_fn=_end_with_parent if sys.platform == "linux" else None,
    )


def _end_with_parent() -> None:
    """Let the kernel send SIGTERM to this process if the gate dies first, as by `kill -9`."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def run_gate(
    arguments: list[str],
    start: Callable[[list[str], Request], subprocess.Popen[bytes]] = start_pytest,
) -> int:
    """Run pytest with these arguments, and return the exit status of the gate."""
    if os.name != "posix":
        raise BadInput("erasetest gate needs Linux or macOS: run pytest itself on this system")
    # A file without a name: no other process can open it, and a killed gate leaves nothing behind.
    with tempfile.TemporaryFile(buffering=0, prefix="erasetest-gate-") as file:
        request = Request.make(file)
        child = start(arguments, request)
        with _forwarding(child):
            process = child.wait()
        result = read_result(file, request, child.pid)
    if isinstance(result, str):
        status = failed_status(process)
        _print(f"{result} (pytest: {_status_name(process)}): not a pass, status {status}")
        return status
    status = final_status(process, status_of(result))
    if status != process:
        _print(
            f"the verdict of the report is {result['verdict']}, pytest ended with "
            f"{_status_name(process)}: status {status}"
        )
    return status


@contextlib.contextmanager
def _forwarding(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Forward signals to the child; the gate itself keeps waiting for it to end."""

    def forward(number: int, _: FrameType | None) -> None:
        # A terminal sends Ctrl-C to both processes; a second one would cut pytest's shutdown short.
        if number != signal.SIGINT or not _in_foreground():
            child.send_signal(number)

    before = {number: signal.signal(number, forward) for number in _FORWARDED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_foreground() -> bool:
    try:
        with open(os.ctermid(), "rb", buffering=0) as terminal:  # noqa: PTH123
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False


def _status_name(process: int) -> str:
    if process >= 0:
        return f"status {process}"
    try:
        return signal.Signals(-process).name
    except ValueError:
        return f"signal {-process}"


def _print(message: str) -> None:
    typer.echo(f"erasetest gate: {message}", err=True)
