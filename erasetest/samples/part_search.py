"""Search a long text for any of very many short strings."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from erasetest.support.ranges import merge_ranges

Codes = npt.NDArray[np.uint32]
Table = npt.NDArray[np.bool_]

_SHORT, _LONG = 4, 8
"""Lengths of the substrings that are hashed, in characters."""

_BLOCK = 1 << 20
"""Number of characters that are searched at once: the arrays of one block take 30 MB."""

_FACTORS = tuple(np.uint32(factor) for factor in (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D))
"""Multipliers of the hashes: the first three primes of xxHash32."""

_NUMPY_FROM = 400
"""Length of a text, in characters, from which numpy is faster than a loop."""

_SLOTS_PER_PART = 32
"""Table size per string: about one text position in 32 is a false candidate."""

_MAX_TABLE_BITS = 26
"""The table has at most 2^26 slots (64 MB)."""


class PartSearch:
    """Index of strings of four to eight characters, which finds them forwards or backwards.

    The hash of every text position is looked up in a table of flags, in numpy; the few positions
    that the table contains are compared as strings (Rabin and Karp, 1987). The time hardly grows
    with the number of strings.
    """

    def __init__(self, parts: Iterable[str]) -> None:
        both_ways = {one for part in parts for one in (part, part[::-1])}
        self._windows = {part for part in both_ways if len(part) == _LONG}
        self._short = both_ways - self._windows

    @functools.cached_property
    def _window_table(self) -> Table:
        return _table(self._windows, _LONG)

    @functools.cached_property
    def _short_table(self) -> Table:
        return _table({part[:_SHORT] for part in self._short}, _SHORT)

    def __bool__(self) -> bool:
        return bool(self._windows or self._short)

    def find(self, text: str, *, short: bool) -> Iterator[tuple[int, int]]:
        """Yield the ranges that contain parts, sorted; overlapping and adjacent ones are merged.

        With `short` false, only the parts of eight characters are searched for.
        """
        yield from merge_ranges(self._found(text, short and bool(self._short)))

    def _found(self, text: str, short: bool) -> Iterator[tuple[int, int]]:
        for begin in range(0, len(text) - _SHORT + 1, _BLOCK):
            fours, eights = self._candidates(text, begin)
            found: dict[int, int] = {}
            for start in fours if short else ():
                for end in range(start + _SHORT, start + _LONG):
                    if text[start:end] in self._short:
                        found[start] = end
            for start in eights:
                if text[start : start + _LONG] in self._windows:
                    found[start] = start + _LONG
            yield from sorted(found.items())

    def _candidates(self, text: str, begin: int) -> tuple[Iterable[int], Iterable[int]]:
        """Return the positions of a block at which a short part, and a window, may start."""
        if len(text) < _NUMPY_FROM:
            return range(len(text) - _SHORT + 1), range(len(text) - _LONG + 1)
        fours, eights = _hashes(_codes(text[begin : begin + _BLOCK + _LONG - 1]))
        return (
            _starts(begin, fours, self._short_table) if self._short else (),
            _starts(begin, eights, self._window_table),
        )


def _codes(text: str) -> Codes:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def _hashes(codes: Codes) -> tuple[Codes, Codes]:
    """Return the hashes of the 4 and of the 8 characters from each position of the last axis."""
    first, second, third = _FACTORS
    twos = codes[..., :-1] * first + codes[..., 1:]
    fours = twos[..., :-2] * second + twos[..., 2:]
    eights = fours[..., :-4] * third + fours[..., 4:]
    return fours * first, eights * first


def _table(parts: set[str], length: int) -> Table:
    """Return the table of strings that all have the same length, four or eight."""
    bits = min(_MAX_TABLE_BITS, max(10, (_SLOTS_PER_PART * len(parts)).bit_length()))
    table: Table = np.zeros(1 << bits, dtype=np.bool_)
    if parts:
        fours, eights = _hashes(_codes("".join(parts)).reshape(-1, length))
        table[(eights if length == _LONG else fours) >> _shift(table)] = True
    return table


def _starts(begin: int, hashes: Codes, table: Table) -> Iterable[int]:
    """Return the positions of a block whose hashes the table contains, some by chance."""
    hits: list[int] = (np.flatnonzero(table[hashes[:_BLOCK] >> _shift(table)]) + begin).tolist()
    return hits


def _shift(table: Table) -> np.uint32:
    """Return the shift that leaves the highest bits of a hash, which mix best, as the index."""
    return np.uint32(32 - (len(table) - 1).bit_length())
