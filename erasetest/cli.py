"""The command line. Every command ends with status 2 and one line where its input is bad."""

from __future__ import annotations

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

_STOPPED = 130
"""What a shell says of a program that Ctrl-C ended."""


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        typer.echo(f"erasetest {__version__}")
        raise typer.Exit


def main() -> None:
    """Run a command; what the user can mend ends in one line, without a traceback."""
    from erasetest.runtime import quiet

    quiet()
    warnings.showwarning = _warned(warnings.showwarning)
    try:
        status = app(standalone_mode=False)
    except typer.Exit as done:
        status = done.exit_code
    except (KeyboardInterrupt, typer.Abort):
        status = _STOPPED
    except BadInput as error:
        status = _say(str(error), 2)
    except ErasetestError as error:
        status = _say(str(error), 1)
    except Exception as error:
        # Typer's own errors: the class to catch is not the same in all of its versions.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        if len(sys.argv) == 1:
            # No command at all: the message is the help.
            typer.echo(message(), err=True)
            sys.exit(2)
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "erasetest"
        status = _say(f"{message()} See '{command} --help'.", 2)
    if status == _STOPPED:
        _say("stopped", _STOPPED)
    sys.exit(status if isinstance(status, int) else 0)


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
    typer.echo(f"erasetest: {message}", err=True)
    return status


if __name__ == "__main__":
    main()
