"""From pieces to the manifest: duplicates go, some are drawn, occurrences are written."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from erasetest.scanning.near_duplicates import SIMILAR, similarity
from erasetest.scanning.scan_job import Batch, CandidateSample
from erasetest.scanning.scan_settings import ScanSettings, ScanSummary
from erasetest.support.atomic_files import writing

_COMPARED = 64
"""Pieces with the same secrets that a new one is compared with, at most."""


def write_samples(
    output: Path,
    batches: Iterable[Batch],
    settings: ScanSettings,
    occurrences: Mapping[str, int],
    result: ScanSummary,
) -> None:
    """Write the samples, and count them in the result.

    Where there is a limit, the batches are gone through twice.
    """
    chosen = None
    if settings.limit is not None:
        kinds = [_kind(piece) for piece in _different(batches, settings, ScanSummary())]
        chosen = _chosen(kinds, settings.limit, settings.seed)
    names: Counter[str] = Counter()
    with contextlib.ExitStack() as held:
        write = None
        for number, piece in enumerate(_different(batches, settings, result)):
            row = piece.row
            result.found += 1
            result.places.update(row["secrets"][fresh]["kind"] for fresh in piece.fresh)
            names[row["id"]] += 1
            if chosen is not None and number not in chosen:
                continue
            result.written += 1
            if names[row["id"]] > 1:
                # The same content under a name of another language can hold other secrets.
                row["id"] = f"{row['id']}-{names[row['id']]}"
            for secret, known in zip(row["secrets"], piece.hashes, strict=True):
                secret["occurrences"] = occurrences[known]
            if write is None:
                write = held.enter_context(writing(output))
            line = json.dumps(row, ensure_ascii=False)
            write(line.encode(errors="backslashreplace").decode() + "\n")


def _kind(piece: CandidateSample) -> str:
    return str(piece.row["secrets"][piece.fresh[0]]["kind"])


def _different(
    batches: Iterable[Batch], settings: ScanSettings, result: ScanSummary
) -> Iterator[CandidateSample]:
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


def _chosen(kinds: Sequence[str], limit: int, seed: int) -> set[int] | None:
    """The numbers of `limit` samples, as many of each kind as there can be; None: all."""
    if len(kinds) <= limit:
        return None
    rng = random.Random(seed)
    by_kind: dict[str, list[int]] = {}
    for number, kind in enumerate(kinds):
        by_kind.setdefault(kind, []).append(number)
    pools = [rng.sample(numbers, len(numbers)) for _, numbers in sorted(by_kind.items())]
    return set(_round_robin(pools, limit))


def _round_robin(pools: Iterable[list[int]], limit: int) -> Iterator[int]:
    waiting = [pool for pool in pools if pool]
    while waiting:
        for pool in waiting:
            if limit == 0:
                return
            limit -= 1
            yield pool.pop()
        waiting = [pool for pool in waiting if pool]
