"""Whether two pieces of code are nearly the same.

A sketch is the smallest hashes of a text's lines; the share of common ones among the smallest of
both estimates the Jaccard similarity of the sets of lines (bottom-k sketches, Cohen and Kaplan
2007).
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Iterable, Sequence

SIMILAR = 0.8
"""Jaccard similarity from which on two pieces with the same secrets count as one."""

_SMALLEST = 32


def sketch(parts: Iterable[str]) -> list[int]:
    """The sketch of a text that is given in parts, such as code without its secrets.

    Indentation and blank lines say nothing.
    """
    lines = {line.strip() for line in "".join(parts).splitlines()}
    hashes = {zlib.crc32(line.encode(errors="replace")) for line in lines if line}
    return heapq.nsmallest(_SMALLEST, hashes)


def similarity(one: Sequence[int], other: Sequence[int]) -> float:
    """An estimate of the Jaccard similarity of two texts, from their sketches; 1 for equal ones."""
    both = heapq.nsmallest(_SMALLEST, set(one) | set(other))
    common = set(one) & set(other)
    return sum(value in common for value in both) / len(both) if both else 1.0
