"""`erasetest calibrate`: thresholds below which control secrets stay."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from erasetest.commands.shared_options import NamedClm, OutOption, check_files, with_options
from erasetest.errors import BadInput
from erasetest.support.path_collisions import reads, writes
from erasetest.support.progress import progress

DECOYS_PER_KIND = 64
"""Decoys per kind that thresholds are calibrated on, and as many again that they are checked on."""


@with_options
def calibrate(
    output: OutOption,
    manifest: Annotated[
        Path | None,
        typer.Argument(
            help="Samples whose secrets the CLM was not trained on (default: those of the demo)."
        ),
    ] = None,
    samples: Annotated[
        Path | None, typer.Option(help="Samples to put decoys into; replaces the manifest.")
    ] = None,
    references: Annotated[
        int | None,
        typer.Option(
            min=4,
            help="With --samples: decoys per kind to calibrate on, and as many again to check "
            f"the thresholds on (default: {DECOYS_PER_KIND}).",
        ),
    ] = None,
    *,
    clm: NamedClm,
) -> None:
    """Measure the thresholds below which control secrets stay, and their false-alarm rate."""
    from erasetest.api import calibrate as calibrate_on
    from erasetest.samples import read_manifest
    from erasetest.support.atomic_files import write_text

    check_files(
        [*reads("MANIFEST", manifest), *reads("--samples", samples), *clm.files()],
        writes("--output", output),
    )
    clm.check()
    if manifest and samples:
        raise BadInput(
            "give either a manifest of control secrets or --samples FILE to put decoys into, not "
            "both"
        )
    if references is not None and not samples:
        raise BadInput("--references is the number of decoys: add --samples FILE to put them into")
    if not manifest and not samples:
        from erasetest.demo.build import demo_samples

        controls = demo_samples()["unseen"]
    else:
        controls = read_manifest(manifest) if manifest else []
    context = read_manifest(samples) if samples else []
    loaded = clm.load()
    with progress("calibrating") as task, _naming(manifest or samples):
        thresholds = calibrate_on(
            loaded,
            context,
            unseen=controls,
            references=references or DECOYS_PER_KIND,
            check=True,
            progress=task,
        )
    write_text(output, json.dumps(thresholds.as_dict(), indent=1) + "\n")
    typer.echo(f"{output}: thresholds of {len(thresholds.kinds)} kinds")
    alarms = thresholds.false_alarms["any"]
    low, high = alarms.interval_95
    typer.echo(
        f"false alarms: {alarms.count} of {alarms.of} control secrets ({alarms.share:.2%}; 95 % "
        f"confidence interval {low:.2%} to {high:.2%})"
    )


@contextlib.contextmanager
def _naming(path: Path | None) -> Iterator[None]:
    """Put the name of the file before the message of an error."""
    try:
        yield
    except BadInput as error:
        raise (error if path is None else BadInput(f"{path}: {error}")) from None
