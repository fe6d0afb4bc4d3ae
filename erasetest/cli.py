"""The command line: bad input ends every command with status 2 and a one-line message."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import typer

from erasetest.commands.calibrate import calibrate
from erasetest.commands.curate import curate
from erasetest.commands.demo import demo
from erasetest.commands.erase import erase
from erasetest.commands.gate import SETTINGS, gate
from erasetest.commands.probe import probe
from erasetest.commands.report import report
from erasetest.commands.scan import scan
from erasetest.commands.utility import utility
from erasetest.errors import BadInput, ErasetestError, ErasetestWarning
from erasetest.version import __version__

app = typer.Typer(
    name="erasetest",
    help="Privacy regression tests for code language models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _command in (demo, scan, probe, calibrate, curate, erase, utility, report):
    app.command()(_command)
app.command(context_settings=SETTINGS)(gate)

_SIGNAL_STATUS = 128
"""Exit status of a program that a signal ended, less the number of the signal (as in shells)."""

DEBUG = "ERASETEST_DEBUG"
"""Environment variable that turns tracebacks on."""


class _Stopped(BaseException):
    """A signal asks the process to end; raised to run all clean-up code."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.status = _SIGNAL_STATUS + number


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        typer.echo(f"erasetest {__version__}")
        raise typer.Exit


def main() -> None:
    """Run a command; an error that the user can fix is one line, without a traceback."""
    from erasetest.support.standard_streams import output_failure, prepare
    from erasetest.support.torch_environment import quiet

    prepare()
    quiet()
    warnings.showwarning = _with_short_warnings(warnings.showwarning)
    for number in (signal.SIGTERM, signal.SIGHUP):
        # A signal that the parent ignores (nohup) stays ignored.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _stop)
    status = _run()
    failure = output_failure()
    # A reader that stops early (head) is not a failure.
    if failure is not None and not isinstance(failure, BrokenPipeError):
        status = _fail(f"standard output cannot be written: {failure.strerror}", status or 1)
    sys.exit(status)


def _stop(number: int, frame: object) -> None:
    raise _Stopped(number)


def _run() -> int:
    """Run the command on the command line, and return its exit status."""
    try:
        status = app(standalone_mode=False)
    except typer.Exit as done:
        return done.exit_code
    except SystemExit as ended:
        # Typer exits this way if the reader of a pipe is gone.
        if isinstance(ended.__context__, BrokenPipeError):
            return _SIGNAL_STATUS + signal.SIGPIPE
        raise
    except _Stopped as stopped:
        return _fail("stopped", stopped.status)
    except (KeyboardInterrupt, typer.Abort):
        status = _SIGNAL_STATUS + signal.SIGINT
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        return _report(error)
    if status == _SIGNAL_STATUS + signal.SIGINT:
        # Typer catches Ctrl-C itself, and returns this status.
        return _fail("stopped", status)
    return status if isinstance(status, int) else 0


def _report(error: Exception) -> int:
    """Print an error in one line, and return the exit status.

    An error that neither the user nor the machine caused is a defect of erasetest: it is raised
    again, for its traceback.
    """
    from erasetest.commands.machine_errors import explain

    if isinstance(error, ErasetestError):
        return _fail(str(error), 2 if isinstance(error, BadInput) else 1)
    # Usage errors: their class differs between versions of typer, the method does not.
    message = getattr(error, "format_message", None)
    if message is not None:
        if len(sys.argv) == 1:
            # Without a command, the message is the help.
            typer.echo(message(), err=True)
            return 2
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "erasetest"
        return _fail(f"{message()} See '{command} --help'.", 2)
    reason = explain(error)
    if reason is None:
        raise error
    return _fail(f"{reason} ({DEBUG}=1 shows the traceback)", 1)


def _with_short_warnings(default: Callable[..., None]) -> Callable[..., None]:
    """Return a `showwarning` that prints our warnings once, in one line, and others as before."""
    printed: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *rest: Any) -> None:
        if issubclass(category, ErasetestWarning):
            # Python forgets which warnings it showed when an import adds a filter, as torch does.
            if str(message) not in printed:
                typer.echo(f"erasetest: warning: {message}", err=True)
            printed.add(str(message))
        else:
            default(message, category, *rest)

    return show


def _fail(message: str, status: int) -> int:
    """Print a message on standard error, if it can be written, and return the status."""
    with contextlib.suppress(OSError):
        typer.echo(f"erasetest: {message}", err=True)
    return status


if __name__ == "__main__":
    main()
