"""`erasetest scan`: secrets in a training corpus, as a manifest; and what a CLM kept of them."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from erasetest.commands.curate import show
from erasetest.commands.scan_output import tell_scanned, write_skipped
from erasetest.commands.shared_options import Loading, OutOption, check_files, takes_clm
from erasetest.errors import BadInput
from erasetest.support.path_collisions import reads, writes
from erasetest.support.progress import progress

if TYPE_CHECKING:
    from erasetest.scanning import ScanSettings, ScanSummary

_NOTHING = "no secret found: no manifest was written"


def scan(
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Folders and files of source code, JSONL (.gz), Parquet, data sets on disk, git "
            "repositories (with --revision); - is standard input."
        ),
    ],
    loading: Loading | None,
    output: OutOption,
    processes: Annotated[
        int | None, typer.Option(min=1, help="That scan; by default as many as there are cores.")
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="Scan git repositories as they are at this revision.")
    ] = None,
    text_column: Annotated[
        str | None, typer.Option(help="Of a data set: the column that holds the code.")
    ] = None,
    path_column: Annotated[
        str | None, typer.Option(help="Of a data set: the column that names the file.")
    ] = None,
    min_confidence: Annotated[
        str, typer.Option(help="Of a finding: high, medium or low (what only looks random).")
    ] = "low",
    baseline: Annotated[
        Path | None,
        typer.Option(help="A detect-secrets baseline: what it lists is known, and left out."),
    ] = None,
    near_duplicates: Annotated[
        bool,
        typer.Option(
            "--near-duplicates", help="Keep code that is nearly the same, with the same secrets."
        ),
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many samples, at most: drawn at random, as many of each kind as there can "
            "be; with --clm those at the greatest risk.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of drawing samples.")] = 0,
    skipped: Annotated[
        Path | None,
        typer.Option(help="Write here what was not scanned, or not wholly, a JSON line each."),
    ] = None,
    min_ma: Annotated[float, typer.Option(help="With --clm: least MA of a sample at risk.")] = 0.9,
    balanced: Annotated[
        bool,
        typer.Option("--balanced", help="With --clm: as many of each kind as there can be."),
    ] = False,
    samples: Annotated[
        Path | None, typer.Option(help="With --clm: keep the manifest of all samples here.")
    ] = None,
    measures: Annotated[
        Path | None, typer.Option(help="With --clm: keep the measures of all samples here.")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(help="With --clm: draw the distribution of MA by kind (.svg, .png)."),
    ] = None,
) -> None:
    """Find secrets in a training corpus, and write them as a manifest of samples.

    With a CLM, measure what it remembers of them and write those at risk, the worst first.
    Stopped, the same command goes on where it was.
    """
    from erasetest.commands.probe import probe_to
    from erasetest.probes import risk as curation
    from erasetest.samples import write_manifest
    from erasetest.scanning import Columns, Rules, ScanSettings
    from erasetest.scanning.corpus_scan import batches_of, is_own
    from erasetest.scanning.detect_secrets_baseline import Baseline
    from erasetest.scanning.scan_job import CONFIDENCES
    from erasetest.support.atomic_files import is_stream, reserved

    if "" in paths:
        raise BadInput("a path is empty: name a folder or file, . for this one")
    corpus = list(dict.fromkeys(map(Path, paths)))
    written = [output, skipped, samples, measures, picture]
    check_files(
        [
            *reads("PATHS", *corpus),
            *reads("--baseline", baseline),
            *(loading.files() if loading is not None else []),
        ],
        [
            *writes("--output", output),
            *writes("--skipped", skipped),
            *writes("--samples", samples),
            *writes("--measures", measures),
            *writes("--picture", picture),
        ],
    )
    if min_confidence not in CONFIDENCES:
        raise BadInput(f"--min-confidence {min_confidence}: expected high, medium or low")
    if not 0 <= min_ma <= 1:
        raise BadInput(f"--min-ma is a share of tokens: expected 0 to 1, got {min_ma:g}")
    rules = Rules(
        min_confidence,
        Baseline.read(baseline) if baseline is not None else None,
    )
    settings = ScanSettings(
        rules,
        revision,
        Columns(text_column, path_column),
        near_duplicates,
        None if loading is not None else limit,
        seed,
        processes or _cores(),
    )
    if loading is None:
        needing = {"--samples": samples, "--measures": measures, "--picture": picture}
        for name, given in needing.items():
            if given is not None:
                raise BadInput(f"{name} needs --clm: without it, nothing is measured")
        if not _scan(output, corpus, settings, skipped, [skipped]).found:
            raise BadInput(_NOTHING)
        return
    loading.check(endpoint=True)
    if is_stream(output):
        raise BadInput(f"{output}: with --clm, work is kept beside the output: name a file")
    with reserved(output):
        place = output.resolve()
        manifest = samples or place.with_name(f".{place.name}.samples.jsonl")
        measured = measures or place.with_name(f".{place.name}.measures.jsonl")
        hidden = [path for path in (manifest, measured) if path not in (samples, measures)]
        for path in hidden:
            if path.is_symlink() or (path.exists() and not is_own(path)):
                raise BadInput(f"{path}: is in the way: work is kept there until all is known")
        found = None
        if _scan(manifest, corpus, settings, skipped, written, keep=True).found:
            if manifest in hidden:
                manifest.chmod(0o600)
            probe_to(measured, manifest, loading)
            found = curation.curate(measured, min_ma=min_ma, limit=limit, balanced=balanced)
            show(found, min_ma)
            if picture is not None:
                curation.picture(found.by_kind, picture, min_ma)
            # Also where there is none: an older manifest is not of this CLM.
            write_manifest(output, curation.chosen(manifest, found.worst))
        for path in (*hidden, batches_of(manifest)):
            path.unlink(missing_ok=True)
    if found is None:
        raise BadInput(_NOTHING)
    if not found.worst:
        typer.echo(f"no sample has an MA of {min_ma:g} or more: {output} is empty")
    else:
        typer.echo(f"{output}: {len(found.worst)} samples")


scan = takes_clm(scan, needed=False)


def _cores() -> int:
    """Those that this process may use, where the system tells."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _scan(
    output: Path,
    paths: list[Path],
    settings: ScanSettings,
    skipped: Path | None,
    written: Sequence[Path | None],
    *,
    keep: bool = False,
) -> ScanSummary:
    """Scan, and tell what was found and what was left out."""
    from erasetest.scanning import scan_to
    from erasetest.support.atomic_files import is_stream, reserved, writing

    with contextlib.ExitStack() as held:
        tell = None
        if skipped is not None:
            if not is_stream(skipped):
                held.enter_context(reserved(skipped))
            write = held.enter_context(writing(skipped))
            tell = functools.partial(write_skipped, write)
        task = held.enter_context(progress("scanning"))
        result = scan_to(
            output,
            paths,
            settings,
            stdin=sys.stdin.buffer if sys.stdin is not None else None,
            progress=lambda done, found: task(done, None, f"{done / 1e6:.0f} MB, {found} samples"),
            tell_skipped=tell,
            written=[path for path in written if path is not None],
            keep=keep,
        )
    tell_scanned(result, output)
    return result
