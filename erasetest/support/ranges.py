"""Ranges of a text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Range = tuple[int, int]
"""First place, and the place after the last."""


def merge_ranges(ranges: Iterable[Range]) -> Iterator[Range]:
    """Yield ranges that are sorted by their start, with overlapping and adjacent ones merged."""
    run: Range | None = None
    for start, end in ranges:
        if run is not None and start <= run[1]:
            run = run[0], max(end, run[1])
            continue
        if run is not None:
            yield run
        run = start, end
    if run is not None:
        yield run
