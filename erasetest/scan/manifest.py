"""From pieces to the manifest: duplicates go, some are drawn, occurrences are written."""

from __future__ import annotations

import hashlib
import json
import random
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from erasetest.files import writing
from erasetest.scan.near import SIMILAR, similarity
from erasetest.scan.pieces import Batch, Piece
from erasetest.scan.results import Scanned, ScanSettings

_COMPARED = 64
"""Pieces with the same secrets that a new one is compared with, at most."""


def write_samples(
    output: Path,
    batches: Iterable[Batch],
    settings: ScanSettings,
    occurrences: Mapping[str, int],
    result: Scanned,
) -> None:
    """Write the samples, and count them in the result. The batches are gone through twice."""
    kinds: list[str] = []
    for piece in _different(batches, settings, result):
        kinds.append(piece.row["secrets"][piece.fresh[0]]["kind"])
        result.places.update(piece.row["secrets"][number]["kind"] for number in piece.fresh)
    result.found = len(kinds)
    chosen = _chosen(kinds, settings)
    result.written = len(kinds) if chosen is None else len(chosen)
    if not kinds:
        return
    names: Counter[str] = Counter()
    with writing(output) as write:
        for number, piece in enumerate(_different(batches, settings, Scanned())):
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


def _different(
    batches: Iterable[Batch], settings: ScanSettings, result: Scanned
) -> Iterator[Piece]:
    """The pieces that are no duplicates of ones before them."""
    exact: set[bytes] = set()
    sketches: dict[bytes, list[array[int]]] = {}
    for batch in batches:
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
