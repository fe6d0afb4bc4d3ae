"""`erasetest scan`: secrets in a training corpus, and which of them a CLM has memorized."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from erasetest.commands.curate import show
from erasetest.commands.scan_output import print_summary, write_skipped
from erasetest.commands.shared_options import (
    NamedClmOrEndpoint,
    OutOption,
    check_files,
    with_options,
)
from erasetest.errors import BadInput
from erasetest.support.option_fields import option
from erasetest.support.path_collisions import reads, writes
from erasetest.support.progress import progress

if TYPE_CHECKING:
    from erasetest.probes.risk import Curated
    from erasetest.scanning import ScanSettings, ScanSummary

_NOTHING_FOUND = "no secret found: no manifest was written"


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """Options of every scan."""

    processes: int | None = option(
        "Number of worker processes (default: all cores).", None, metavar="N", minimum=1
    )
    revision: str | None = option("Revision of git repositories to scan.", None)
    text_column: str | None = option("Column of a data set that holds the code.", None)
    path_column: str | None = option("Column of a data set that holds the file name.", None)
    min_confidence: Literal["high", "medium", "low"] = option(
        "Minimum confidence of a finding; low includes strings that only look random.",
        "low",
    )
    baseline: Path | None = option("detect-secrets baseline whose findings to leave out.", None)
    near_duplicates: bool = option(
        "Keep code that is nearly the same and has the same secrets.", False
    )
    limit: int | None = option(
        "Maximum number of samples, drawn at random and balanced over the kinds of secrets; with "
        "--clm, those at the greatest risk.",
        None,
        metavar="N",
        minimum=1,
    )
    seed: int = option("Seed of the random draw of samples.", 0)
    skipped: Path | None = option(
        "JSONL file for what was not scanned, or only in part, with reasons.", None
    )

    def settings(self, limit: int | None) -> ScanSettings:
        """Return the settings of the scan.

        Raises:
            BadInput: the detect-secrets baseline cannot be read.
        """
        from erasetest.scanning import Columns, Rules, ScanSettings
        from erasetest.scanning.detect_secrets_baseline import Baseline

        known = Baseline.read(self.baseline) if self.baseline is not None else None
        return ScanSettings(
            rules=Rules(self.min_confidence, known),
            revision=self.revision,
            columns=Columns(self.text_column, self.path_column),
            near_duplicates=self.near_duplicates,
            limit=limit,
            seed=self.seed,
            processes=self.processes or _usable_cores(),
        )


@dataclass(frozen=True, slots=True)
class RankOptions:
    """Options of a scan whose samples are ranked by what a CLM has memorized."""

    min_ma: float = option("With --clm: minimum MA of a sample at risk.", 0.9)
    balanced: bool = option("With --clm: balance the samples over the kinds of secrets.", False)
    samples: Path | None = option("With --clm: file for the manifest of all samples.", None)
    measures: Path | None = option("With --clm: file for the measures of all samples.", None)
    picture: Path | None = option(
        "With --clm: plot of the distribution of MA by kind (.svg, .png).", None
    )


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """What a scan was asked to do."""

    corpus: list[Path]
    output: Path
    scanning: ScanOptions
    ranking: RankOptions
    clm: NamedClmOrEndpoint | None

    def check(self) -> None:
        """Refuse what cannot work, before anything is scanned.

        Raises:
            BadInput: naming the option.
        """
        from erasetest.support.atomic_files import is_stream

        ranking = self.ranking
        files = {
            "--samples": ranking.samples,
            "--measures": ranking.measures,
            "--picture": ranking.picture,
        }
        check_files(
            [
                *reads("PATHS", *self.corpus),
                *reads("--baseline", self.scanning.baseline),
                *(self.clm.files() if self.clm is not None else []),
            ],
            [
                *writes("--output", self.output),
                *writes("--skipped", self.scanning.skipped),
                *(use for name, path in files.items() for use in writes(name, path)),
            ],
        )
        if not 0 <= ranking.min_ma <= 1:
            raise BadInput(
                f"--min-ma is a share of tokens: expected 0 to 1, got {ranking.min_ma:g}"
            )
        if self.clm is None:
            for name, path in files.items():
                if path is not None:
                    raise BadInput(f"{name} needs --clm: without it, nothing is measured")
            return
        self.clm.check()
        if is_stream(self.output):
            raise BadInput(
                f"{self.output}: with --clm, unfinished work is kept beside the output: name a file"
            )

    def written(self) -> list[Path]:
        """Return all files that are written: no scan reads them."""
        ranking = self.ranking
        paths = (self.output, self.scanning.skipped, ranking.samples, ranking.measures)
        return [path for path in (*paths, ranking.picture) if path is not None]


@with_options
def scan(
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Folders and files of source code, JSONL (.gz), Parquet, data sets on disk, git "
            "repositories (with --revision); - is standard input."
        ),
    ],
    output: OutOption,
    *,
    scanning: ScanOptions,
    ranking: RankOptions,
    clm: NamedClmOrEndpoint | None,
) -> None:
    """Find secrets in a training corpus, and write them as a manifest of samples.

    With a CLM, measure what it has memorized of them, and write those at risk, the worst first. If
    it is stopped, the same command resumes.
    """
    if "" in paths:
        raise BadInput("a path is empty: name a folder or file, . for this one")
    corpus = list(dict.fromkeys(map(Path, paths)))
    request = ScanRequest(corpus, output, scanning, ranking, clm)
    request.check()
    if clm is not None:
        scan_and_rank(request, clm)
    elif not _scan_to(output, request, limit=scanning.limit).found:
        raise BadInput(_NOTHING_FOUND)


def scan_and_rank(request: ScanRequest, clm: NamedClmOrEndpoint) -> None:
    """Scan, probe the samples, and write those at the greatest risk.

    Raises:
        BadInput: nothing was found, or a file cannot be used.
    """
    from erasetest.commands.probe import probe_to
    from erasetest.probes import risk
    from erasetest.samples import write_manifest
    from erasetest.scanning.corpus_scan import journal_path
    from erasetest.support.atomic_files import reserved
    from erasetest.support.sidecars import sidecar

    output, ranking = request.output, request.ranking
    found: Curated | None = None
    with reserved(output):
        manifest = ranking.samples or sidecar(output, "samples")
        measures = ranking.measures or sidecar(output, "measures")
        hidden = [p for p in (manifest, measures) if p not in (ranking.samples, ranking.measures)]
        _check_replaceable(hidden)
        if _scan_to(manifest, request, limit=None, keep=True).found:
            if manifest in hidden:
                manifest.chmod(0o600)
            probe_to(measures, manifest, clm)
            found = risk.curate(
                measures,
                min_ma=ranking.min_ma,
                limit=request.scanning.limit,
                balanced=ranking.balanced,
            )
            show(found, ranking.min_ma)
            if ranking.picture is not None:
                risk.draw_histograms(found.by_kind, ranking.picture, ranking.min_ma)
            # Also if no sample is at risk: an older manifest would be of another CLM.
            write_manifest(output, risk.worst_samples(manifest, found.worst))
        for path in (*hidden, journal_path(manifest)):
            path.unlink(missing_ok=True)
    if found is None:
        raise BadInput(_NOTHING_FOUND)
    if not found.worst:
        typer.echo(f"no sample has an MA of {ranking.min_ma:g} or more: {output} is empty")
    else:
        typer.echo(f"{output}: {len(found.worst)} samples")


def _check_replaceable(hidden: list[Path]) -> None:
    """Refuse to overwrite a file that no earlier scan wrote."""
    from erasetest.scanning.corpus_scan import is_own_output

    for path in hidden:
        if path.is_symlink() or (path.exists() and not is_own_output(path)):
            raise BadInput(
                f"{path}: exists and was not written by a scan, but is needed for unfinished work: "
                "move it away"
            )


def _usable_cores() -> int:
    """Return the number of cores that this process may use; on Linux by its affinity."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _scan_to(
    output: Path, request: ScanRequest, *, limit: int | None, keep: bool = False
) -> ScanSummary:
    """Scan the corpus into a manifest, and print a summary.

    Args:
        output: the manifest to write.
        request: what to scan, and how.
        limit: maximum number of samples.
        keep: keep the finished batches, for a later step that can be stopped too.
    """
    from erasetest.scanning import scan_to
    from erasetest.support.atomic_files import is_stream, reserved, writing

    skipped, settings = request.scanning.skipped, request.scanning.settings(limit)
    with contextlib.ExitStack() as stack:
        on_skipped = None
        if skipped is not None:
            if not is_stream(skipped):
                stack.enter_context(reserved(skipped))
            on_skipped = functools.partial(write_skipped, stack.enter_context(writing(skipped)))
        task = stack.enter_context(progress("scanning"))
        summary = scan_to(
            output,
            request.corpus,
            settings,
            stdin=sys.stdin.buffer if sys.stdin is not None else None,
            progress=lambda done, found: task(done, None, f"{done / 1e6:.0f} MB, {found} samples"),
            on_skipped=on_skipped,
            written=request.written(),
            keep_journal=keep,
        )
    print_summary(summary, output)
    return summary
