"""`erasetest calibrate`: thresholds that never-seen secrets stay under."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from erasetest.commands.shared_options import Loading, OutOption, check_files, takes_clm
from erasetest.errors import BadInput
from erasetest.support.path_collisions import reads, writes
from erasetest.support.progress import progress

REFERENCES_CHECKED = 64


@takes_clm
def calibrate(
    loading: Loading,
    output: OutOption,
    manifest: Annotated[
        Path | None,
        typer.Argument(
            help="Samples with secrets that the CLM never saw; without them, the demo's, which no "
            "CLM was trained on."
        ),
    ] = None,
    samples: Annotated[
        Path | None, typer.Option(help="Samples to put decoys into, where none are never-seen.")
    ] = None,
    references: Annotated[
        int | None,
        typer.Option(
            min=4, help="With --samples: decoys of each kind, and as many again to check by (64)."
        ),
    ] = None,
) -> None:
    """Measure the thresholds that never-seen secrets stay under."""
    from erasetest.samples import read_manifest
    from erasetest.support.atomic_files import write_text
    from erasetest.verdict import calibrate as calibrate_on

    check_files(
        [*reads("MANIFEST", manifest), *reads("--samples", samples), *loading.files()],
        writes("--output", output),
    )
    loading.check()
    if manifest and samples:
        raise BadInput(
            "give either a manifest of never-seen secrets or --samples to put decoys into"
        )
    if references is not None and not samples:
        raise BadInput("--references is for decoys: add --samples FILE to put them into")
    if not manifest and not samples:
        from erasetest.demo.build import demo_samples

        unseen = demo_samples()["unseen"]
    else:
        unseen = read_manifest(manifest) if manifest else []
    context = read_manifest(samples) if samples else []
    loaded = loading.load()
    with progress("calibrating") as task, _named(manifest or samples):
        thresholds = calibrate_on(
            loaded,
            context,
            unseen=unseen,
            references=references or REFERENCES_CHECKED,
            check=True,
            progress=task,
        )
    write_text(output, json.dumps(thresholds.as_dict(), indent=1) + "\n")
    typer.echo(f"{output}: thresholds of {len(thresholds.kinds)} kinds")
    alarms = thresholds.false_alarms["any"]
    low, high = alarms.interval_95
    typer.echo(
        f"false alarms: {alarms.count} of {alarms.of} never-seen secrets ({alarms.share:.2%}; with "
        f"95 % confidence {low:.2%} to {high:.2%})"
    )


@contextlib.contextmanager
def _named(path: Path | None) -> Iterator[None]:
    """Begin what is wrong with the secrets of a file by its name."""
    try:
        yield
    except BadInput as error:
        raise (error if path is None else BadInput(f"{path}: {error}")) from None
