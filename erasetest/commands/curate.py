"""`erasetest curate`: how memorization is spread by kind, and the samples at risk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from erasetest.commands.shared_options import OutOption, check_files
from erasetest.errors import BadInput
from erasetest.probes.risk import Curated
from erasetest.support.path_collisions import reads, writes


def curate(
    measures: Annotated[Path, typer.Argument(help="What `erasetest probe` wrote.")],
    output: OutOption,
    samples: Annotated[
        Path | None,
        typer.Option(
            help="The manifest that was probed: its samples at risk are written, instead of "
            "their measures."
        ),
    ] = None,
    min_ma: Annotated[float, typer.Option(help="Least MA of a sample at risk.")] = 0.9,
    limit: Annotated[int | None, typer.Option(min=1, help="How many samples, at most.")] = None,
    balanced: Annotated[
        bool, typer.Option("--balanced", help="As many of each kind as there can be.")
    ] = False,
    picture: Annotated[
        Path | None, typer.Option(help="Draw the distribution of MA by kind (.svg, .png).")
    ] = None,
) -> None:
    """Show what is remembered by kind, and keep the samples that are remembered most."""
    from erasetest.probes import risk as curation
    from erasetest.samples import write_manifest
    from erasetest.support.atomic_files import write_text

    check_files(
        [*reads("MEASURES", measures), *reads("--samples", samples)],
        [*writes("--output", output), *writes("--picture", picture)],
    )
    if not 0 <= min_ma <= 1:
        raise BadInput(f"--min-ma is a share of tokens: expected 0 to 1, got {min_ma:g}")
    found = curation.curate(measures, min_ma=min_ma, limit=limit, balanced=balanced)
    show(found, min_ma)
    if picture is not None:
        curation.picture(found.by_kind, picture, min_ma)
    if not found.worst:
        raise BadInput(f"no sample has an MA of {min_ma:g} or more: nothing was written")
    if samples is None:
        write_text(output, "".join(json.dumps(risk.row) + "\n" for risk in found.worst))
    else:
        write_manifest(output, curation.chosen(samples, found.worst))


def show(found: Curated, min_ma: float) -> None:
    """Say how memorization is spread by kind, and how many samples are at risk."""
    from tabulate import tabulate

    rows = [[kind, *spread.row(min_ma)] for kind, spread in sorted(found.by_kind.items())]
    headers = [
        "kind",
        "secrets",
        "mean MA",
        "median",
        "90 %",
        f"at {min_ma:g} or more",
        "extracted",
    ]
    typer.echo(tabulate(rows, headers=headers, floatfmt=".3f"))
    typer.echo(
        f"{found.at_risk} of {found.measured} samples have an MA of {min_ma:g} or more; "
        f"{len(found.worst)} are kept"
    )
    if found.unmeasured:
        typer.echo(f"{found.unmeasured} samples were not measured")
