"""From a training corpus to a manifest of sensitive samples."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import random
import re
import tempfile
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, Any

import erasetest
from erasetest.files import id_key, is_stream, reserved, writing
from erasetest.scan.near import SIMILAR, similarity
from erasetest.scan.pieces import Batch, Piece, Rules, prepare, scan_job
from erasetest.scan.sources import Columns, Job, plan
from erasetest.scan.unfinished import Batches
from erasetest.scan.walk import Skipped
from erasetest.scan.workers import in_order

Progress = Callable[[int, int], None]
"""Told bytes of the corpus that are scanned, and samples that are found (before duplicates go)."""

_SHOWN = 20
"""Names of each sort that a result holds; it counts all."""

_END = "end"
"""The job of the last batch: what the plan left out after its last job."""

_COMPARED = 64
"""Pieces with the same secrets that a new one is compared with, at most."""


@dataclass(frozen=True, slots=True)
class ScanSettings:
    """How a corpus is scanned.

    Attributes:
        rules: what counts as a finding.
        revision: scan git repositories as they are at this revision.
        columns: of data sets, where their names say too little.
        near_duplicates: keep pieces that are nearly the same, with the same secrets.
        limit: most samples; more are drawn at random, as many of each kind as there can be.
        seed: of that.
        processes: that scan.
    """

    rules: Rules = field(default_factory=Rules)
    revision: str | None = None
    columns: Columns | None = None
    near_duplicates: bool = False
    limit: int | None = None
    seed: int = 0
    processes: int = 1


@dataclass(slots=True)
class Names:
    """Some of many names, and how many there are."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        """Count a name."""
        self.count += 1
        if len(self.first) < _SHOWN:
            self.first.append(name)


@dataclass(slots=True)
class Scanned:
    """What a scan found, and what it did not look at.

    Attributes:
        texts: that were scanned: files, records of data sets.
        characters: of these.
        found: samples in the corpus, without duplicates.
        written: samples in the manifest: fewer than `found` where there is a limit.
        places: where a secret stands, by kind; a place in two pieces counts once, those of
            duplicates do not count.
        secrets: different ones.
        duplicates: pieces left out because the same code with the same secrets is a sample.
        near: pieces left out because nearly the same code with the same secrets is.
        guessed: texts whose encoding nothing tells.
        skipped: what was not scanned or not wholly, by reason (numbers in it left out).
        resumed: batches that an earlier run had done.
    """

    texts: int = 0
    characters: int = 0
    found: int = 0
    written: int = 0
    places: Counter[str] = field(default_factory=Counter)
    secrets: int = 0
    duplicates: int = 0
    near: int = 0
    guessed: Names = field(default_factory=Names)
    skipped: dict[str, Names] = field(default_factory=dict)
    resumed: int = 0


def scan_to(
    output: Path,
    paths: Sequence[Path],
    settings: ScanSettings | None = None,
    *,
    stdin: IO[bytes] | None = None,
    progress: Progress | None = None,
    tell_skipped: Callable[[Skipped], object] | None = None,
    keep: bool = False,
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
        keep: leave `batches_of` the output in place, so that the same call need not scan again.

    Raises:
        BadInput: a path does not exist, another run writes the same output, the disk is full.
    """
    settings = settings or ScanSettings()
    result = Scanned()
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
        for size, batch in _batches(paths, settings, stdin, kept, result):
            done, found = done + size, found + len(batch.pieces)
            _count(batch, result, occurrences, tell_skipped)
            if progress is not None:
                progress(done, found)
        result.secrets = len(occurrences)
        _write(output, kept, settings, occurrences, result)
        if not keep:
            kept.remove()
    return result


def batches_of(output: Path) -> Path:
    """Where batches are kept until the manifest is whole."""
    output = output.resolve()
    return output.with_name(f".{output.name}.scan")


def _key(paths: Sequence[Path], settings: ScanSettings) -> str:
    """What batches hang on. A change of the corpus itself shows in the keys of its jobs."""
    hangs_on = dataclasses.replace(settings, limit=None, seed=0, processes=1, near_duplicates=False)
    parts = [erasetest.__version__, *(str(path.absolute()) for path in paths), repr(hangs_on)]
    data = "\0".join(parts).encode(errors="surrogatepass")
    return hashlib.blake2b(data, key=id_key()[:64], digest_size=16).hexdigest()


def _batches(
    paths: Sequence[Path],
    settings: ScanSettings,
    stdin: IO[bytes] | None,
    kept: Batches,
    result: Scanned,
) -> Iterator[tuple[int, Batch]]:
    """Each job's size and what came of it: what an earlier run left first, then the rest."""
    planned = plan(paths, revision=settings.revision, stdin=stdin, columns=settings.columns)
    # What the plan leaves out before a job is told with that job, and the rest at the end.
    before: list[Skipped] = []
    unknown: Job | None = None
    for planned_job in planned:
        if isinstance(planned_job, Skipped):
            before.append(planned_job)
            continue
        batch = kept.known(planned_job.key)
        if batch is None:
            unknown = planned_job
            break
        result.resumed += 1
        before.clear()
        yield planned_job.size, batch
    waiting: deque[tuple[int, list[Skipped]]] = deque()

    def jobs() -> Iterator[Job]:
        for planned_job in chain([unknown] if unknown is not None else [], planned):
            if isinstance(planned_job, Skipped):
                before.append(planned_job)
            else:
                waiting.append((planned_job.size, before.copy()))
                before.clear()
                yield planned_job

    for batch in in_order(
        scan_job, jobs(), settings.processes, dead=_of_dead, prepare=prepare,
        given=(settings.rules,),
    ):  # fmt: skip
        size, left_out = waiting.popleft()
        batch.skipped[:0] = left_out
        kept.keep(batch)
        yield size, batch
    if unknown is None:
        kept.cut()
    last = Batch(_END, skipped=before)
    kept.keep(last)
    yield 0, last


def _of_dead(job: Job) -> Batch:
    reason = "the process that scanned it ended, twice: out of memory?"
    return Batch(job.key, skipped=[Skipped(job.name, reason)])


def _count(
    batch: Batch,
    result: Scanned,
    occurrences: Counter[str],
    tell_skipped: Callable[[Skipped], object] | None,
) -> None:
    result.texts += batch.texts
    result.characters += batch.characters
    for name in batch.guessed:
        result.guessed.add(name)
    for skipped in batch.skipped:
        reason = re.sub(r"[0-9][0-9,.]*", "N", skipped.reason)
        result.skipped.setdefault(reason, Names()).add(f"{skipped.path}: {skipped.reason}")
        if tell_skipped is not None:
            tell_skipped(skipped)
    for piece in batch.pieces:
        occurrences.update(piece.hashes[number] for number in piece.fresh)


def _write(
    output: Path,
    kept: Batches,
    settings: ScanSettings,
    occurrences: Counter[str],
    result: Scanned,
) -> None:
    kinds: list[str] = []
    for piece in _different(kept, settings, result):
        kinds.append(piece.row["secrets"][piece.fresh[0]]["kind"])
        result.places.update(piece.row["secrets"][number]["kind"] for number in piece.fresh)
    result.found = len(kinds)
    chosen = _chosen(kinds, settings)
    result.written = len(kinds) if chosen is None else len(chosen)
    if not kinds:
        return
    names: Counter[str] = Counter()
    with writing(output) as write:
        for number, piece in enumerate(_different(kept, settings, Scanned())):
            row = piece.row
            names[row["id"]] += 1
            if chosen is not None and number not in chosen:
                continue
            if names[row["id"]] > 1:
                # The same content under a name of another language can hold other secrets.
                row["id"] = f"{row['id']}-{names[row['id']]}"
            for secret, known in zip(row["secrets"], piece.hashes, strict=True):
                secret["occurrences"] = occurrences[known]
            line = json.dumps(row, ensure_ascii=False)
            write(line.encode(errors="backslashreplace").decode() + "\n")


def _different(kept: Batches, settings: ScanSettings, result: Scanned) -> Iterator[Piece]:
    """The pieces that are no duplicates of ones before them."""
    exact: set[bytes] = set()
    sketches: dict[bytes, list[array[int]]] = {}
    for batch in kept:
        for piece in batch.pieces:
            spans = [(s["start"], s["end"], s["kind"]) for s in piece.row["secrets"]]
            name = _short(piece.row["id"], spans)
            if name in exact:
                result.duplicates += 1
                continue
            exact.add(name)
            if not settings.near_duplicates:
                alike = sketches.setdefault(_short(sorted(piece.hashes)), [])
                if any(similarity(piece.sketch, other) >= SIMILAR for other in alike):
                    result.near += 1
                    continue
                if len(alike) < _COMPARED:
                    alike.append(array("I", piece.sketch))
            yield piece


def _short(*parts: Any) -> bytes:
    return hashlib.blake2b(repr(parts).encode(), digest_size=12).digest()


def _chosen(kinds: Sequence[str], settings: ScanSettings) -> set[int] | None:
    """The numbers of at most `limit` samples, as many of each kind as there can be; None: all."""
    if settings.limit is None or len(kinds) <= settings.limit:
        return None
    rng = random.Random(settings.seed)
    by_kind: dict[str, list[int]] = {}
    for number, kind in enumerate(kinds):
        by_kind.setdefault(kind, []).append(number)
    pools = [rng.sample(numbers, len(numbers)) for _, numbers in sorted(by_kind.items())]
    return set(_round_robin(pools, settings.limit))


def _round_robin(pools: Iterable[list[int]], limit: int) -> Iterator[int]:
    waiting = [pool for pool in pools if pool]
    while waiting:
        for pool in waiting:
            if limit == 0:
                return
            limit -= 1
            yield pool.pop()
        waiting = [pool for pool in waiting if pool]
