"""`erasetest curate`: the distribution of memorization by kind, and the samples at risk."""

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
    measures: Annotated[Path, typer.Argument(help="Measures that `erasetest probe` wrote.")],
    output: OutOption,
    samples: Annotated[
        Path | None,
        typer.Option(
            help="The manifest that was probed: write its samples at risk instead of their "
            "measures."
        ),
    ] = None,
    min_ma: Annotated[float, typer.Option(help="Minimum MA of a sample at risk.")] = 0.9,
    limit: Annotated[int | None, typer.Option(min=1, help="Maximum number of samples.")] = None,
    balanced: Annotated[
        bool, typer.Option("--balanced", help="Balance the samples over the kinds of secrets.")
    ] = False,
    picture: Annotated[
        Path | None, typer.Option(help="Plot of the distribution of MA by kind (.svg, .png).")
    ] = None,
) -> None:
    """Show memorization by kind of secret, and write the samples at the greatest risk."""
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
        curation.draw_histograms(found.by_kind, picture, min_ma)
    if not found.worst:
        raise BadInput(f"no sample has an MA of {min_ma:g} or more: nothing was written")
    if samples is None:
        write_text(output, "".join(json.dumps(risk.row) + "\n" for risk in found.worst))
    else:
        write_manifest(output, curation.worst_samples(samples, found.worst))


def show(found: Curated, min_ma: float) -> None:
    """Print the distribution of memorization by kind, and the number of samples at risk."""
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
        f"{len(found.worst)} are written"
    )
    if found.unmeasured:
        typer.echo(f"{found.unmeasured} samples were not measured")
