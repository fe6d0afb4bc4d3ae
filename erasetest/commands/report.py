"""`erasetest report`: a leakage report in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from erasetest.commands.shared_options import OutOption, check_files
from erasetest.support.path_collisions import reads, writes


def report(
    run: Annotated[Path, typer.Argument(help="Leakage report in JSON format.")],
    output: OutOption,
) -> None:
    """Convert a leakage report to the format that the suffix of the output names."""
    from erasetest.reports import Report

    check_files(reads("RUN", run), writes("--output", output))
    Report.read(run).write(output)
