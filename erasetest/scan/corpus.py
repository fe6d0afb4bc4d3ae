"""From a training corpus to a manifest of sensitive samples."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from importlib.metadata import entry_points, version
from itertools import chain
from pathlib import Path
from typing import IO

import erasetest
from erasetest.errors import BadInput
from erasetest.files import id_key, is_stream, reserved
from erasetest.scan.detect import ENTRY_POINTS
from erasetest.scan.manifest import write_samples
from erasetest.scan.pieces import Batch, Line, name_of, prepare, scan_one, scan_to_line
from erasetest.scan.results import Scanned, ScanSettings
from erasetest.scan.sources import Job, plan
from erasetest.scan.unfinished import Batches
from erasetest.scan.walk import Skipped
from erasetest.scan.workers import Ask, Died, in_order

_DEATHS = 3
_DEADLY = "the process that scanned it ended, twice: out of memory?"
"""After so many in a row it is the reading that ends it."""

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
) -> Scanned:
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
    result = Scanned()
    written = [output, *written]
    for path in written:
        _check_not_scanned(path, paths)
    with contextlib.ExitStack() as held:
        if is_stream(output):
            folder = held.enter_context(tempfile.TemporaryDirectory())
            place = Path(folder) / "batches"
        else:
            held.enter_context(reserved(output))
            place = batches_of(output)
        kept = Batches(place, _key(paths, settings))
        held.callback(kept.close)
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
        if corpus == target or (corpus in target.parents and not _is_own(path)):
            raise BadInput(f"{path}: is a part of what is scanned: name another file to write to")


def _is_own(path: Path) -> bool:
    """Whether a file is one that erasetest writes: a row of a manifest, of measures, of a skip."""
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError:
        return False
    return start == b"" or start.startswith((b'{"id": ', b'{"path": ', b"<?xml", b"\x89PNG"))


def _key(paths: Sequence[Path], settings: ScanSettings) -> str:
    """What batches hang on. A change of the corpus itself shows in the keys of its jobs."""
    rules = settings.rules
    listed = rules.baseline.hashes if rules.baseline is not None else {}
    users = sorted(f"{entry.name} {entry.value}" for entry in entry_points(group=ENTRY_POINTS))
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
    kept: Batches,
    result: Scanned,
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


def _of_dead(job: Job, ask: Ask) -> Line:
    """What comes of a job that ends its process: its texts one by one, but for the deadly ones."""
    batch = Batch(job.key)
    number = deaths = 0
    while deaths < _DEATHS:
        try:
            one: Batch | None = ask(scan_one, job, number)
            if one is None:
                break
            batch.take(one)
            deaths = 0
        except Died:
            deaths += 1
            batch.skipped.append(Skipped(_name(job, number, ask), _DEADLY))
        number += 1
    if deaths == _DEATHS:
        batch.skipped.append(Skipped(job.name, "what follows in its part could not be read"))
    return Line(batch.to_json(), batch.without_code())


def _name(job: Job, number: int, ask: Ask) -> str:
    try:
        return str(ask(name_of, job, number))
    except Died:
        return job.name
