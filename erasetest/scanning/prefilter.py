"""Which lines of a text are worth a detector's look: all clues of all detectors, found at once.

With the extra `hyperscan` one automaton reads the text once; without it each word is a string
search and each shape a pattern of `re`. Both find the same lines.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from erasetest.scanning.document import Document, Line
from erasetest.scanning.required_literals import (
    ASCII_IN_RUN,
    BEYOND,
    IN_RUN,
    RequiredLiterals,
    plain,
)

Hits = list[list[int]]
"""For each sign, places in lines that hold it, ascending; in one line one or more."""


class Engine(Protocol):
    """Finds the places of signs."""

    def hits(self, text: str) -> Hits:
        """Places of each of the signs that the engine was made with."""


@dataclass(frozen=True, slots=True)
class Signs:
    """All that is looked for, each once."""

    words: tuple[str, ...]
    runs: tuple[int, ...]
    shapes: tuple[str, ...]


class Prefilter:
    """Finds the lines that hold each of several clues."""

    def __init__(
        self, clues: Sequence[RequiredLiterals | None], *, hyperscan: bool | None = None
    ) -> None:
        """A clue that is None holds in every line.

        Args:
            clues: what to look for.
            hyperscan: whether to use it; None: where it is installed.
        """
        words, runs, shapes = (
            sorted({sign for clue in clues if clue for sign in getattr(clue, name)})
            for name in ("words", "runs", "shapes")
        )
        numbers = {sign: number for number, sign in enumerate([*words, *runs, *shapes])}
        self._signs_of = [
            None if clue is None else sorted(numbers[sign] for sign in _signs(clue))
            for clue in clues
        ]
        automaton = has_hyperscan() if hyperscan is None else hyperscan
        signs = Signs(tuple(words), tuple(runs), tuple(shapes))
        self.engine: Engine = _Automaton(signs) if automaton else _Searches(signs)

    def lines(self, document: Document) -> list[Sequence[Line]]:
        """For each clue the lines that hold it, in order, and perhaps some that do not."""
        known: dict[int, Line] = {}
        by_sign = [
            list(_lines_at(document, places, known)) if places else []
            for places in self.engine.hits(document.text)
        ]
        return [
            document.lines if signs is None else _together([by_sign[sign] for sign in signs])
            for signs in self._signs_of
        ]


def has_hyperscan() -> bool:
    """Whether the extra `hyperscan` is installed, and works on this machine."""
    try:
        import hyperscan
    except ImportError:
        return False
    return hasattr(hyperscan, "Database")


def _signs(clue: RequiredLiterals) -> list[str | int]:
    return [*clue.words, *clue.runs, *clue.shapes]


def _lines_at(document: Document, places: list[int], known: dict[int, Line]) -> Iterator[Line]:
    end = 0
    for place in places:
        if place < end:
            continue
        line = known.get(place) or document.line_at(place)
        if line is None:
            end = document.end_at(place)
        else:
            known[place] = line
            end = line.end
            yield line


def _together(found: list[list[Line]]) -> list[Line]:
    found = [lines for lines in found if lines]
    if len(found) < 2:
        return found[0] if found else []
    starts = {line.start: line for lines in found for line in lines}
    return [starts[start] for start in sorted(starts)]


class _Searches:
    """A search for each few words that share letters, one scan for all runs, one a shape."""

    def __init__(self, signs: Signs) -> None:
        self.signs = signs
        self.stems = _stems(signs.words)
        self.shapes = [re.compile(source) for source in signs.shapes]

    def hits(self, text: str) -> Hits:
        text = plain(text)
        lower = text.lower()
        found: Hits = [[] for _ in self.signs.words]
        for stem, words in self.stems.items():
            at = lower.find(stem)
            while at >= 0:
                for number, offset, word in words:
                    if lower.startswith(word, at - offset):
                        found[number].append(at - offset)
                at = lower.find(stem, at + 1)
        if self.signs.runs:
            spans = list(_runs(text, min(self.signs.runs)))
            found += (
                [start for start, length in spans if length >= least] for least in self.signs.runs
            )
        found += ([match.start() for match in shape.finditer(text)] for shape in self.shapes)
        return found


_STEM = 3
"""Letters that words share, at least."""

Word = tuple[int, int, str]
"""A word's number, where a stem stands in it, and the word."""


def _stems(words: Sequence[str]) -> dict[str, list[Word]]:
    """Few texts such that each word holds one of them."""
    left = dict(enumerate(words))
    stems: dict[str, list[Word]] = {}
    while left:
        shared = Counter(stem for word in left.values() for stem in {*_substrings(word), word})
        stem = max(shared, key=lambda stem: (shared[stem], len(stem), stem))
        holding = [number for number, word in left.items() if stem in word]
        stems[stem] = [(number, left[number].index(stem), left.pop(number)) for number in holding]
    return stems


def _substrings(word: str) -> Iterator[str]:
    for start in range(len(word)):
        for end in range(start + _STEM, len(word) + 1):
            yield word[start:end]


_SIGNS_OF_RUNS = bytes(
    ord("a") if byte >= 0x80 or chr(byte) in ASCII_IN_RUN else ord(" ") for byte in range(256)
)


def _runs(text: str, least: int) -> Iterator[tuple[int, int]]:
    """Where runs of at least so many bytes begin, and their lengths, in characters and bytes."""
    data = text.encode(errors="surrogatepass")
    marked = data.translate(_SIGNS_OF_RUNS) + b" "
    run = b"a" * least
    starts, lengths = [], []
    at = marked.find(run)
    while at >= 0:
        end = marked.index(b" ", at)
        starts.append(at)
        lengths.append(end - at)
        at = marked.find(run, end)
    places = starts if len(data) == len(text) else _in_characters(data, starts)
    return zip(places, lengths, strict=True)


class _Automaton:
    """All signs as one automaton over the text's UTF-8."""

    def __init__(self, signs: Signs) -> None:
        self.words = len(signs.words)
        self.sources = [
            *(re.escape(word) for word in signs.words),
            # A run ends with what is no part of it, or it would be told of at each of its letters.
            *(f"[{IN_RUN}]{{{length}}}[^{IN_RUN}]" for length in signs.runs),
            *signs.shapes,
        ]
        ends = range(self.words, self.words + len(signs.runs))
        # From the end of a match to a byte that is surely in its line.
        self.back = [2 if number in ends else 1 for number in range(len(self.sources))]

    @cached_property
    def database(self) -> Any:
        import hyperscan

        database = hyperscan.Database()
        any_case = hyperscan.HS_FLAG_CASELESS
        database.compile(
            # A letter beyond ASCII is two bytes or more, all of them beyond.
            expressions=[s.replace(BEYOND, r"\x80-\xff").encode() for s in self.sources],
            ids=list(range(len(self.sources))),
            flags=[any_case if n < self.words else 0 for n in range(len(self.sources))],
        )
        return database

    def hits(self, text: str) -> Hits:
        found: Hits = [[] for _ in self.sources]
        if not found:
            return found

        def take(sign: int, _start: int, end: int, _flags: int, _context: object) -> None:
            found[sign].append(end)

        data = plain(text).encode(errors="surrogatepass") + b"\n"
        self.database.scan(data, match_event_handler=take)
        is_ascii = len(data) == len(text) + 1
        for sign, ends in enumerate(found):
            if ends:
                places = [end - self.back[sign] for end in ends]
                found[sign] = places if is_ascii else list(_in_characters(data, places))
        return found


_CONTINUING = bytes(range(0x80, 0xC0))


def _in_characters(data: bytes, places: Iterable[int]) -> Iterator[int]:
    """Places in UTF-8, ascending, as the numbers of the characters that they are in."""
    counted = characters = 0
    for place in places:
        characters += len(data[counted : place + 1].translate(None, _CONTINUING))
        counted = place + 1
        yield characters - 1
