"""Scans a training corpus into a manifest of sensitive samples."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from importlib.metadata import entry_points, version
from itertools import chain
from pathlib import Path
from typing import IO

from erasetest.errors import BadInput
from erasetest.scanning.detection import ENTRY_POINTS
from erasetest.scanning.sample_writer import write_samples
from erasetest.scanning.scan_job import Batch, JobScanner, SerializedBatch, text_count, text_name
from erasetest.scanning.scan_journal import ScanJournal
from erasetest.scanning.scan_settings import ScanSettings
from erasetest.scanning.scan_summary import ScanSummary
from erasetest.scanning.sources import Job, plan
from erasetest.scanning.walk import Skipped
from erasetest.scanning.worker_pool import Ask, Died, in_order
from erasetest.support.atomic_files import id_key, is_stream, reserved
from erasetest.support.sidecars import sidecar
from erasetest.support.temporary_folder import process_folder
from erasetest.version import __version__

_DEADLY = "the process that scanned it ended, twice: out of memory?"

_MAX_HEAD = 2**24
"""Maximum number of bytes of a first line that identifies a file of this command."""

Progress = Callable[[int, int], None]
"""Called with the number of bytes scanned and of samples found so far, including duplicates."""


def scan_to(
    output: Path,
    paths: Sequence[Path],
    settings: ScanSettings | None = None,
    *,
    stdin: IO[bytes] | None = None,
    progress: Progress | None = None,
    on_skipped: Callable[[Skipped], object] | None = None,
    keep_journal: bool = False,
    written: Collection[Path] = (),
) -> ScanSummary:
    """Scan a corpus and write its samples as a manifest.

    Nothing is sent over a network, and symbolic links in folders are not followed. A scan that was
    stopped resumes on the same call, from a journal beside the output. If nothing is found, no
    manifest is written.

    Args:
        output: the manifest.
        paths: files, folders, data sets; `-` is standard input.
        settings: which findings count, and how the corpus is scanned.
        stdin: read for `-`.
        progress: called after each job.
        on_skipped: called with everything that is not scanned, including what an earlier run
            skipped.
        keep_journal: whether to keep the journal, so that the same call need not scan again.
        written: other files that the caller writes, which are excluded from the corpus.

    Returns:
        Counts of what was found and skipped.

    Raises:
        BadInput: a path does not exist, the output would replace a part of the corpus, another run
            writes the same output, or the disk is full.
    """
    settings = settings or ScanSettings()
    summary = ScanSummary()
    written = [output, *written]
    for path in written:
        _check_not_scanned(path, paths)
    with contextlib.ExitStack() as resources:
        if is_stream(output):
            folder = resources.enter_context(tempfile.TemporaryDirectory(dir=process_folder()))
            location = Path(folder) / "journal"
        else:
            resources.enter_context(reserved(output))
            location = journal_path(output)
        journal = ScanJournal(location, journal_key(paths, settings))
        resources.callback(journal.close)
        if not is_stream(output):
            resources.enter_context(_naming_journal_on_failure(journal))
        occurrences: Counter[str] = Counter()
        done = found = 0
        for size, batch in _batches(paths, settings, stdin, written, journal, summary):
            done, found = done + size, found + len(batch.candidates)
            summary.add(batch)
            if on_skipped is not None:
                for skipped in batch.skipped:
                    on_skipped(skipped)
            for candidate in batch.candidates:
                occurrences.update(candidate.hashes[target] for target in candidate.targets)
            if progress is not None:
                progress(done, found)
        summary.secrets = len(occurrences)
        write_samples(output, journal, settings, occurrences, summary)
        if not keep_journal:
            journal.remove()
    return summary


@contextlib.contextmanager
def _naming_journal_on_failure(journal: ScanJournal) -> Iterator[None]:
    """Add to the error of a failed scan where its findings are kept."""
    try:
        yield
    except BadInput as error:
        if journal.size <= 0:
            raise
        raise BadInput(
            f"{error}; what has been scanned is kept in {journal.path} "
            f"({journal.size:,} bytes, with the secrets found): run the same command again to "
            "resume, or delete the file"
        ) from None


def journal_path(output: Path) -> Path:
    """Return the path of the journal that is kept until the manifest is complete."""
    return sidecar(output, "scan")


def _check_not_scanned(path: Path, paths: Sequence[Path]) -> None:
    """Refuse to overwrite a part of the corpus, except an output of an earlier run."""
    if is_stream(path) or not path.exists():
        return
    target = path.resolve()
    for given in paths:
        corpus = given.resolve()
        if corpus == target or (corpus in target.parents and not is_own_output(path)):
            raise BadInput(f"{path}: is a part of what is scanned: name another file to write to")


def is_own_output(path: Path) -> bool:
    """Return whether this command writes such files: a manifest, measures, or skipped files."""
    try:
        with path.open("rb") as file:
            line = file.readline(_MAX_HEAD)
    except OSError:
        return False
    if not line:
        return path.suffix == ".jsonl"
    try:
        row = json.loads(line)
        return (
            set(row) == {"path", "reason"}
            or {"id", "measures", "secrets"} <= set(row)
            or "occurrences" in row["secrets"][0]
        )
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return False


def journal_key(paths: Sequence[Path], settings: ScanSettings) -> str:
    """Return a hash of everything that batches depend on, except the corpus itself.

    A change of the corpus changes the keys of its jobs.
    """
    rules = settings.rules
    listed = rules.baseline.hashes if rules.baseline is not None else {}
    user_detectors = sorted(
        f"{entry.name} {entry.value} {entry.dist and entry.dist.version}"
        for entry in entry_points(group=ENTRY_POINTS)
    )
    parts = [
        __version__,
        version("detect-secrets"),
        *user_detectors,
        *(str(path.absolute()) for path in paths),
        rules.min_confidence,
        *(f"{name} {' '.join(sorted(hashes))}" for name, hashes in sorted(listed.items())),
        str(settings.revision),
        str(settings.columns),
    ]
    data = "\0".join(parts).encode(errors="surrogatepass")
    return hashlib.blake2b(data, key=id_key()[:64], digest_size=16).hexdigest()


def _batches(
    paths: Sequence[Path],
    settings: ScanSettings,
    stdin: IO[bytes] | None,
    written: Collection[Path],
    journal: ScanJournal,
    summary: ScanSummary,
) -> Iterator[tuple[int, Batch]]:
    """Yield the size and the batch of each job: first those in the journal, then new ones."""
    planned = plan(
        paths,
        revision=settings.revision,
        stdin=stdin,
        columns=settings.columns,
        written=written,
    )
    # Files that the plan skips are determined again by every run, and not saved.
    left_out: list[Skipped] = []
    first_new: Job | None = None
    for job in planned:
        if isinstance(job, Skipped):
            left_out.append(job)
            continue
        batch = journal.next_batch(job.key)
        if batch is None:
            first_new = job
            break
        summary.resumed += 1
        yield job.size, batch
    sizes: deque[int] = deque()

    def new_jobs() -> Iterator[Job]:
        for job in chain([first_new] if first_new is not None else [], planned):
            if isinstance(job, Skipped):
                left_out.append(job)
            else:
                sizes.append(job.size)
                yield job

    # Batches of jobs behind the last one of this corpus may be left.
    journal.drop_rest()
    scanner = JobScanner(settings.rules)
    for result in in_order(
        scanner, new_jobs(), settings.processes, on_death=partial(_scan_deadly_job, scanner)
    ):
        journal.append(result.line)
        yield sizes.popleft(), result.batch
    yield 0, Batch("", skipped=left_out)


def _scan_deadly_job(scanner: JobScanner, job: Job, ask: Ask) -> SerializedBatch:
    """Scan a job that ends its process: all of its texts except those that cause it."""
    batch = Batch(job.key)
    try:
        ranges = [(0, int(ask(text_count, job)))]
    except Died:
        batch.skipped.append(Skipped(job.name, f"{_DEADLY} All of its part is left out."))
        return SerializedBatch.of(batch)
    # Bisection: a range whose scan ends the process is halved, down to a single text.
    while ranges:
        first, last = ranges.pop()
        try:
            batch.extend(ask(scanner.scan, job, first, last))
        except Died:
            middle = (first + last) // 2
            if middle > first:
                ranges += [(middle, last), (first, middle)]
            else:
                batch.skipped.append(Skipped(_text_name(job, first, ask), _DEADLY))
    return SerializedBatch.of(batch)


def _text_name(job: Job, index: int, ask: Ask) -> str:
    try:
        return str(ask(text_name, job, index))
    except Died:
        return job.name
