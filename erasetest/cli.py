"""The command line. Every command ends with status 2 and one line where its input is bad."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import typer

from erasetest import __version__
from erasetest.commands.calibrate import calibrate
from erasetest.commands.curate import curate
from erasetest.commands.demo import demo
from erasetest.commands.erase import erase
from erasetest.commands.gate import SETTINGS, gate
from erasetest.commands.probe import probe
from erasetest.commands.report import report
from erasetest.commands.scan import scan
from erasetest.commands.utility import utility
from erasetest.errors import BadInput, ErasetestError, ShortSecretWarning

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

_STOPPED = 128
"""What a shell adds to the number of the signal that ended a program."""

DEBUG = "ERASETEST_DEBUG"
"""The variable of the environment that asks for tracebacks."""


class _Stopped(BaseException):
    """A signal asks the process to end."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.status = _STOPPED + number


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        typer.echo(f"erasetest {__version__}")
        raise typer.Exit


def main() -> None:
    """Run a command; what the user can mend ends in one line, without a traceback."""
    from erasetest.support.standard_streams import output_failure, prepare
    from erasetest.support.torch_environment import quiet

    prepare()
    quiet()
    warnings.showwarning = _warned(warnings.showwarning)
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Ignored by who started it (nohup), it stays ignored.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _stop)
    status = _run()
    failure = output_failure()
    # A reader that has read enough (head) is no failure.
    if failure is not None and not isinstance(failure, BrokenPipeError):
        status = _say(f"standard output cannot be written: {failure.strerror}", status or 1)
    sys.exit(status)


def _stop(number: int, frame: object) -> None:
    raise _Stopped(number)


def _run() -> int:
    """Run the command of the command line; its exit status."""
    try:
        status = app(standalone_mode=False)
    except typer.Exit as done:
        return done.exit_code
    except SystemExit as ended:
        # Typer's answer to a pipe that nobody reads any more.
        if isinstance(ended.__context__, BrokenPipeError):
            return _STOPPED + signal.SIGPIPE
        raise
    except _Stopped as stopped:
        return _say("stopped", stopped.status)
    except (KeyboardInterrupt, typer.Abort):
        status = _STOPPED + signal.SIGINT
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        return _failed(error)
    if status == _STOPPED + signal.SIGINT:
        # Typer gives it back for Ctrl-C.
        return _say("stopped", status)
    return status if isinstance(status, int) else 0


def _failed(error: Exception) -> int:
    """Say in one line what is wrong; a defect of erasetest itself is raised again."""
    from erasetest.commands.machine_errors import explain

    if isinstance(error, ErasetestError):
        return _say(str(error), 2 if isinstance(error, BadInput) else 1)
    # Typer's own errors: the class to catch is not the same in all of its versions.
    message = getattr(error, "format_message", None)
    if message is not None:
        if len(sys.argv) == 1:
            # No command at all: the message is the help.
            typer.echo(message(), err=True)
            return 2
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "erasetest"
        return _say(f"{message()} See '{command} --help'.", 2)
    reason = explain(error)
    if reason is None:
        raise error
    return _say(f"{reason} ({DEBUG}=1 shows where)", 1)


def _warned(shown: Callable[..., None]) -> Callable[..., None]:
    """Shows a warning of ours in one line and once, and every other one as before."""
    said: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *rest: Any) -> None:
        if issubclass(category, ShortSecretWarning):
            # Python forgets what it warned of when an import adds a filter, as torch does.
            if str(message) not in said:
                typer.echo(f"erasetest: warning: {message}", err=True)
            said.add(str(message))
        else:
            shown(message, category, *rest)

    return show


def _say(message: str, status: int) -> int:
    with contextlib.suppress(OSError):
        typer.echo(f"erasetest: {message}", err=True)
    return status


if __name__ == "__main__":
    main()
