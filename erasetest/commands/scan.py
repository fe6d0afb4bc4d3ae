"""`erasetest scan`: secrets in source code, as a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from erasetest.commands.options import (
    OutOption,
    check_output,
)
from erasetest.errors import BadInput
from erasetest.progress import progress


def scan(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders of source code.")],
    output: OutOption,
) -> None:
    """Find secrets in source code and write them as a manifest of samples."""
    from tabulate import tabulate

    from erasetest.samples import write_manifest
    from erasetest.scan import scan_paths

    check_output(output)
    with progress("scanning") as task:
        result = scan_paths(paths, progress=task)
    typer.echo(f"{result.files} files scanned, {len(result.samples)} samples found")
    rows = sorted(result.counts.items())
    if rows:
        typer.echo(tabulate(rows, headers=["kind", "places"]))
    if result.duplicates:
        typer.echo(f"{result.duplicates} samples stood elsewhere already, and are listed once")
    if result.latin1:
        typer.echo(f"{len(result.latin1)} files are not UTF-8 and were read as Latin-1")
    for skipped in result.skipped:
        typer.echo(f"skipped {skipped.path}: {skipped.reason}", err=True)
    if not result.samples:
        raise BadInput("no secret found: no manifest was written")
    write_manifest(output, result.samples)
