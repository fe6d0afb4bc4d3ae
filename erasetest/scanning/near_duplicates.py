"""Estimates whether two pieces of code are nearly the same.

A sketch of a text is the set of the smallest hashes of its lines. The share of common hashes among
the smallest of both sketches estimates the Jaccard similarity of the sets of lines (bottom-k
sketches, Cohen and Kaplan 2007).
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Iterable, Sequence

MIN_SIMILARITY = 0.8
"""Minimum Jaccard similarity of two samples with the same secrets that are near duplicates."""

_SKETCH_SIZE = 32


def sketch(parts: Iterable[str]) -> list[int]:
    """Return the sketch of a text that is given in parts, such as the code around its secrets.

    Indentation and blank lines are ignored.
    """
    lines = {line.strip() for line in "".join(parts).splitlines()}
    hashes = {zlib.crc32(line.encode(errors="replace")) for line in lines if line}
    return heapq.nsmallest(_SKETCH_SIZE, hashes)


def similarity(one: Sequence[int], other: Sequence[int]) -> float:
    """Estimate the Jaccard similarity of two texts from their sketches; 1 for equal texts."""
    both = heapq.nsmallest(_SKETCH_SIZE, set(one) | set(other))
    common = set(one) & set(other)
    return sum(value in common for value in both) / len(both) if both else 1.0
