"""`erasetest gate`: pytest as a child process, and an exit status that comes from its report."""

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
    VARIABLE,
    Request,
    failed_status,
    final_status,
    read_result,
    status_of,
)

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

SETTINGS = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "allow_interspersed_args": False,
    "help_option_names": [],
}
"""How the command is registered: everything after its name belongs to pytest."""


def gate(context: typer.Context) -> None:
    """Run pytest, and end with the status of this very run's leakage report.

    All arguments are pytest's: `erasetest gate --clm MODEL --leak-samples FILE …`. Without a test
    file or folder among them, the suites of erasetest are run.

    Status 0: every sample got a verdict and none leaks, but for accepted leaks. Status 7: the CLM
    leaks, and the erased checkpoint passed every test. Anything else fails, whatever pytest, a
    plugin or a test makes of pytest's own status.
    """
    if context.args in (["--help"], ["-h"]):
        typer.echo(context.get_help())
        return
    raise typer.Exit(run_gate(context.args))


def start_pytest(arguments: list[str], request: Request) -> subprocess.Popen[bytes]:
    """Start pytest with these arguments, in a process that knows of the request."""
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "pytest", *arguments],
        pass_fds=[request.handle],
        env={**os.environ, VARIABLE: request.as_variable()},
        # Without a terminal, whoever signals the gate's group means the gate, which hands it on:
        # a second Ctrl-C would cut short how pytest ends. With one, it must stay in the group that
        # may read from the terminal.
        process_group=None if _in_foreground() else 0,
        preexec_fn=_end_with_parent if sys.platform == "linux" else None,
    )


def _end_with_parent() -> None:
    """Have this process get SIGTERM when the gate ends before it, by `kill -9` say."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def run_gate(
    arguments: list[str],
    start: Callable[[list[str], Request], subprocess.Popen[bytes]] = start_pytest,
) -> int:
    """Run pytest with these arguments; the status to end with."""
    if os.name != "posix":
        raise BadInput("erasetest gate needs Linux or macOS: here, run pytest itself")
    # Without a name no other process can write to it, and a gate that is killed leaves nothing.
    with tempfile.TemporaryFile(buffering=0, prefix="erasetest-gate-") as file:
        request = Request.make(file)
        child = start(arguments, request)
        with _forwarding(child):
            process = child.wait()
        result = read_result(file, request, child.pid)
    if isinstance(result, str):
        status = failed_status(process)
        _say(f"{result} (pytest: {_named(process)}): not a pass, status {status}")
        return status
    status = final_status(process, status_of(result))
    if status != process:
        _say(f"the report says {result['verdict']}, pytest: {_named(process)}: status {status}")
    return status


@contextlib.contextmanager
def _forwarding(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Hand signals on to the child, which ends in its own way, and keep waiting for it."""

    def forward(number: int, _: FrameType | None) -> None:
        # A terminal sends Ctrl-C to both; a second one would cut short how pytest ends.
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


def _named(process: int) -> str:
    if process >= 0:
        return f"status {process}"
    try:
        return signal.Signals(-process).name
    except ValueError:
        return f"signal {-process}"


def _say(message: str) -> None:
    typer.echo(f"erasetest gate: {message}", err=True)
