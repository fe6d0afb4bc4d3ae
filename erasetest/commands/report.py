"""`erasetest report`: a report in another form."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from erasetest.commands.options import (
    OutOption,
    check_output,
)


def report(
    run: Annotated[Path, typer.Argument(help="A report in JSON form.")],
    output: OutOption,
) -> None:
    """Write a leakage report in another form, by the suffix of the output."""
    from erasetest.reports import read_report, write_report

    check_output(output, run)
    write_report(output, read_report(run))
