"""From a training corpus to a manifest of sensitive samples."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from importlib.metadata import entry_points, version
from itertools import chain
from pathlib import Path
from typing import IO

import erasetest
from erasetest.errors import BadInput
from erasetest.scanning.detection import ENTRY_POINTS
from erasetest.scanning.sample_writer import write_samples
from erasetest.scanning.scan_job import (
    Batch,
    SerializedBatch,
    count,
    name_of,
    prepare,
    scan_job,
    scan_to_line,
)
from erasetest.scanning.scan_journal import ScanJournal
from erasetest.scanning.scan_settings import ScanSettings, ScanSummary
from erasetest.scanning.sources import Job, plan
from erasetest.scanning.walk import Skipped
from erasetest.scanning.worker_pool import Ask, Died, in_order
from erasetest.support.atomic_files import id_key, is_stream, reserved
from erasetest.support.temporary_folder import process_folder

_DEADLY = "the process that scanned it ended, twice: out of memory?"

Progress = Callable[[int, int], None]
"""Told bytes of the corpus that are scanned, and samples that are found (before duplicates go)."""


def scan_to(
    output: Path,
    paths: Sequence[Path],
    settings: ScanSettings | None = None,
    *,
    stdin: IO[bytes] | None = None,
    progress: Progress | None = None,
    tell_skipped: Callable[[Skipped], object] | None = None,
    keep: bool = False,
    written: Collection[Path] = (),
) -> ScanSummary:
    """Scan a corpus, and write the samples that it holds as a manifest.

    Nothing is sent anywhere, and symbolic links in folders are not followed. Stopped, the same call
    goes on where it was; what is known by then is kept beside the output. Where nothing is found,
    no manifest is written.

    Args:
        output: the manifest.
        paths: files, folders, data sets; `-` is standard input.
        settings: how.
        stdin: read for `-`.
        progress: told how it goes on.
        tell_skipped: told of everything that is not scanned, also by an earlier run.
        written: what else the caller writes, which is no part of the corpus.
        keep: leave `batches_of` the output in place, so that the same call need not scan again.

    Raises:
        BadInput: a path does not exist, the output would replace a part of the corpus, another run
            writes the same output, the disk is full.
    """
    settings = settings or ScanSettings()
    result = ScanSummary()
    written = [output, *written]
    for path in written:
        _check_not_scanned(path, paths)
    with contextlib.ExitStack() as held:
        if is_stream(output):
            folder = held.enter_context(tempfile.TemporaryDirectory(dir=process_folder()))
            place = Path(folder) / "batches"
        else:
            held.enter_context(reserved(output))
            place = batches_of(output)
        kept = ScanJournal(place, _key(paths, settings))
        held.callback(kept.close)
        if not is_stream(output):
            held.enter_context(_telling_what_stays(kept))
        occurrences: Counter[str] = Counter()
        done = found = 0
        for size, batch in _batches(paths, settings, stdin, written, kept, result):
            done, found = done + size, found + len(batch.pieces)
            result.add(batch)
            if tell_skipped is not None:
                for skipped in batch.skipped:
                    tell_skipped(skipped)
            for piece in batch.pieces:
                occurrences.update(piece.hashes[number] for number in piece.fresh)
            if progress is not None:
                progress(done, found)
        result.secrets = len(occurrences)
        write_samples(output, kept, settings, occurrences, result)
        if not keep:
            kept.remove()
    return result


@contextlib.contextmanager
def _telling_what_stays(kept: ScanJournal) -> Iterator[None]:
    """Say of a failed scan where its findings are kept."""
    try:
        yield
    except BadInput as error:
        if kept.size <= 0:
            raise
        raise BadInput(
            f"{error}; what was scanned until then is kept in {kept.path} "
            f"({kept.size:,} bytes, with the secrets found): run the same command again to go "
            "on from there, or delete it"
        ) from None


def batches_of(output: Path) -> Path:
    """Where batches are kept until the manifest is whole."""
    output = output.resolve()
    return output.with_name(f".{output.name}.scan")


def _check_not_scanned(path: Path, paths: Sequence[Path]) -> None:
    """Refuse to write over what is scanned; an earlier manifest in a folder of it is no part."""
    if is_stream(path) or not path.exists():
        return
    target = path.resolve()
    for given in paths:
        corpus = given.resolve()
        if corpus == target or (corpus in target.parents and not is_own(path)):
            raise BadInput(f"{path}: is a part of what is scanned: name another file to write to")


def is_own(path: Path) -> bool:
    """Whether a file is one that this command writes: a manifest, measures, what was skipped."""
    try:
        with path.open("rb") as file:
            line = file.readline(2**24)
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


def _key(paths: Sequence[Path], settings: ScanSettings) -> str:
    """What batches hang on. A change of the corpus itself shows in the keys of its jobs."""
    rules = settings.rules
    listed = rules.baseline.hashes if rules.baseline is not None else {}
    users = sorted(
        f"{entry.name} {entry.value} {entry.dist and entry.dist.version}"
        for entry in entry_points(group=ENTRY_POINTS)
    )
    parts = [
        erasetest.__version__,
        version("detect-secrets"),
        *users,
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
    kept: ScanJournal,
    result: ScanSummary,
) -> Iterator[tuple[int, Batch]]:
    """Each job's size and what came of it: what an earlier run left first, then the rest."""
    planned = plan(
        paths,
        revision=settings.revision,
        stdin=stdin,
        columns=settings.columns,
        written=written,
    )
    # What the plan leaves out is planned anew each time, and never kept.
    left_out: list[Skipped] = []
    unknown: Job | None = None
    for job in planned:
        if isinstance(job, Skipped):
            left_out.append(job)
            continue
        batch = kept.known(job.key)
        if batch is None:
            unknown = job
            break
        result.resumed += 1
        yield job.size, batch
    sizes: deque[int] = deque()

    def jobs() -> Iterator[Job]:
        for job in chain([unknown] if unknown is not None else [], planned):
            if isinstance(job, Skipped):
                left_out.append(job)
            else:
                sizes.append(job.size)
                yield job

    kept.cut()
    for line in in_order(
        scan_to_line, jobs(), settings.processes, dead=_of_dead, prepare=prepare,
        given=(settings.rules,),
    ):  # fmt: skip
        kept.keep(line.text)
        yield sizes.popleft(), line.batch
    yield 0, Batch("", skipped=left_out)


def _of_dead(job: Job, ask: Ask) -> SerializedBatch:
    """What comes of a job that ends its process: all of its texts but for the deadly ones."""
    batch = Batch(job.key)
    try:
        ranges = [(0, int(ask(count, job)))]
    except Died:
        batch.skipped.append(Skipped(job.name, f"{_DEADLY} All of its part is left out."))
        return SerializedBatch(batch.to_json(), batch)
    while ranges:
        first, last = ranges.pop()
        try:
            batch.take(ask(scan_job, job, first, last))
        except Died:
            middle = (first + last) // 2
            if middle > first:
                ranges += [(middle, last), (first, middle)]
            else:
                batch.skipped.append(Skipped(_name(job, first, ask), _DEADLY))
    return SerializedBatch(batch.to_json(), batch.without_code())


def _name(job: Job, number: int, ask: Ask) -> str:
    try:
        return str(ask(name_of, job, number))
    except Died:
        return job.name
