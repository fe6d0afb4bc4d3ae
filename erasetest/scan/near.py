"""Whether two pieces of code are nearly the same.

A sketch is the smallest hashes of a text's shingles; the share of common ones among the smallest of
both estimates the Jaccard similarity of the texts (bottom-k sketches, Cohen and Kaplan 2007).
"""

from __future__ import annotations

import heapq
import re
import zlib
from collections.abc import Iterable, Sequence

SIMILAR = 0.8
"""Jaccard similarity from which on two pieces with the same secrets count as one."""

_SMALLEST = 32
_SHINGLE = 5
_TOKEN = re.compile(r"\w+|[^\w\s]")


def sketch(parts: Iterable[str]) -> list[int]:
    """The sketch of a text that is given in parts, such as code without its secrets."""
    tokens = [
        zlib.crc32(token.encode(errors="replace"))
        for part in parts
        for token in _TOKEN.findall(part)
    ]
    shingles = zip(*(tokens[start:] for start in range(_SHINGLE)), strict=False)
    # The hash of a tuple of integers is the same in every process.
    hashes = {hash(shingle) & 0xFFFFFFFF for shingle in shingles} or {
        hash(tuple(tokens)) & 0xFFFFFFFF
    }
    return heapq.nsmallest(_SMALLEST, hashes)


def similarity(one: Sequence[int], other: Sequence[int]) -> float:
    """An estimate of the Jaccard similarity of two texts, from their sketches; 1 for equal ones."""
    both = heapq.nsmallest(_SMALLEST, set(one) | set(other))
    common = set(one) & set(other)
    return sum(value in common for value in both) / len(both) if both else 1.0
