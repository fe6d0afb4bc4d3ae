"""Writes the manifest: drops duplicates, draws samples up to the limit, adds occurrences."""

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

from erasetest.scanning.near_duplicates import MIN_SIMILARITY, similarity
from erasetest.scanning.scan_job import Batch, CandidateSample
from erasetest.scanning.scan_settings import ScanSettings
from erasetest.scanning.scan_summary import ScanSummary
from erasetest.support.atomic_files import writing

_MAX_COMPARED = 64
"""Maximum number of samples with the same secrets that a new one is compared with."""


def write_samples(
    output: Path,
    batches: Iterable[Batch],
    settings: ScanSettings,
    occurrences: Mapping[str, int],
    summary: ScanSummary,
) -> None:
    """Write the samples and count them in the summary. Without samples, nothing is written.

    Args:
        output: the manifest.
        batches: iterated twice if there is a limit.
        settings: of the scan.
        occurrences: number of places of each secret in the corpus, by hash.
        summary: updated.
    """
    chosen = None
    if settings.limit is not None:
        kinds = [_kind(candidate) for candidate in _distinct(batches, settings, ScanSummary())]
        chosen = _chosen(kinds, settings.limit, settings.seed)
    ids: Counter[str] = Counter()
    with contextlib.ExitStack() as resources:
        write = None
        for index, candidate in enumerate(_distinct(batches, settings, summary)):
            row = candidate.row
            summary.found += 1
            summary.places.update(row["secrets"][target]["kind"] for target in candidate.targets)
            ids[row["id"]] += 1
            if chosen is not None and index not in chosen:
                continue
            summary.written += 1
            if ids[row["id"]] > 1:
                # Ids are hashes of the content, and the same content can contain other secrets in
                # a file of another language.
                row["id"] = f"{row['id']}-{ids[row['id']]}"
            for secret, known in zip(row["secrets"], candidate.hashes, strict=True):
                secret["occurrences"] = occurrences[known]
            if write is None:
                write = resources.enter_context(writing(output))
            line = json.dumps(row, ensure_ascii=False)
            write(line.encode(errors="backslashreplace").decode() + "\n")


def _kind(candidate: CandidateSample) -> str:
    return str(candidate.row["secrets"][candidate.targets[0]]["kind"])


def _distinct(
    batches: Iterable[Batch], settings: ScanSettings, summary: ScanSummary
) -> Iterator[CandidateSample]:
    """Yield the candidates that are not duplicates of earlier ones; count the others."""
    exact: set[bytes] = set()
    sketches: dict[bytes, list[array[int]]] = {}
    for batch in batches:
        for candidate in batch.candidates:
            spans = [(s["start"], s["end"], s["kind"]) for s in candidate.row["secrets"]]
            identity = _digest(candidate.row["id"], spans)
            if identity in exact:
                summary.duplicates += 1
                continue
            exact.add(identity)
            if not settings.near_duplicates:
                alike = sketches.setdefault(_digest(sorted(candidate.hashes)), [])
                if any(similarity(candidate.sketch, other) >= MIN_SIMILARITY for other in alike):
                    summary.near_duplicates += 1
                    continue
                if len(alike) < _MAX_COMPARED:
                    alike.append(array("I", candidate.sketch))
            yield candidate


def _digest(*parts: Any) -> bytes:
    return hashlib.blake2b(repr(parts).encode(), digest_size=12).digest()


def _chosen(kinds: Sequence[str], limit: int, seed: int) -> set[int] | None:
    """Draw the indices of `limit` samples, as evenly over kinds as possible; None chooses all."""
    if len(kinds) <= limit:
        return None
    rng = random.Random(seed)
    by_kind: dict[str, list[int]] = {}
    for index, kind in enumerate(kinds):
        by_kind.setdefault(kind, []).append(index)
    pools = [rng.sample(indices, len(indices)) for _, indices in sorted(by_kind.items())]
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
