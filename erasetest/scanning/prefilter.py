"""Selects the lines of a text that a detector needs to see, for all detectors in one pass.

With the extra `hyperscan`, one automaton reads the text once. Without it, each word is a string
search and each shape a pattern of `re`. Both select the same lines.
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
    IN_RUN,
    NON_ASCII,
    RequiredLiterals,
    fold_to_ascii,
)

Hits = list[list[int]]
"""For each search term, ascending positions inside the lines that contain it, at least one per
line."""


class Engine(Protocol):
    """Finds the positions of search terms."""

    def hits(self, text: str) -> Hits:
        """Return positions of each of the engine's search terms, in the order of the terms."""


@dataclass(frozen=True, slots=True)
class SearchTerms:
    """The distinct words, runs and shapes of several `RequiredLiterals`, in this order."""

    words: tuple[str, ...]
    runs: tuple[int, ...]
    shapes: tuple[str, ...]


class Prefilter:
    """Selects the lines that contain required literals, for several sets of them at once."""

    def __init__(
        self, required: Sequence[RequiredLiterals | None], *, hyperscan: bool | None = None
    ) -> None:
        """Index the search terms.

        Args:
            required: the sets of literals; None selects every line.
            hyperscan: whether to use Hyperscan; None uses it if it is installed.
        """
        words, runs, shapes = (
            sorted({term for literals in required if literals for term in getattr(literals, name)})
            for name in ("words", "runs", "shapes")
        )
        numbers = {term: number for number, term in enumerate([*words, *runs, *shapes])}
        self._terms_of = [
            None if literals is None else sorted(numbers[term] for term in _terms(literals))
            for literals in required
        ]
        terms = SearchTerms(tuple(words), tuple(runs), tuple(shapes))
        use_hyperscan = has_hyperscan() if hyperscan is None else hyperscan
        self.engine: Engine = _HyperscanEngine(terms) if use_hyperscan else _SearchEngine(terms)

    def lines(self, document: Document) -> list[Sequence[Line]]:
        """Return, for each set of literals, all lines that contain one of them, in order.

        A few lines that contain none may be among them.
        """
        known: dict[int, Line] = {}
        by_term = [
            list(_lines_at(document, positions, known)) if positions else []
            for positions in self.engine.hits(document.text)
        ]
        return [
            document.lines if terms is None else _merged([by_term[term] for term in terms])
            for terms in self._terms_of
        ]


def has_hyperscan() -> bool:
    """Return whether the extra `hyperscan` is installed and works on this machine."""
    try:
        import hyperscan
    except ImportError:
        return False
    return hasattr(hyperscan, "Database")


def _terms(literals: RequiredLiterals) -> list[str | int]:
    return [*literals.words, *literals.runs, *literals.shapes]


def _lines_at(document: Document, positions: list[int], known: dict[int, Line]) -> Iterator[Line]:
    end = 0
    for position in positions:
        if position < end:
            continue
        line = known.get(position) or document.line_at(position)
        if line is None:
            end = document.end_at(position)
        else:
            known[position] = line
            end = line.end
            yield line


def _merged(found: list[list[Line]]) -> list[Line]:
    found = [lines for lines in found if lines]
    if len(found) < 2:
        return found[0] if found else []
    starts = {line.start: line for lines in found for line in lines}
    return [starts[start] for start in sorted(starts)]


class _SearchEngine:
    """One string search per shared substring of words, one pass for all runs, one per shape."""

    def __init__(self, terms: SearchTerms) -> None:
        self.terms = terms
        self.stems = _stems(terms.words)
        self.shapes = [re.compile(source) for source in terms.shapes]

    def hits(self, text: str) -> Hits:
        text = fold_to_ascii(text)
        lower = text.lower()
        found: Hits = [[] for _ in self.terms.words]
        for stem, words in self.stems.items():
            at = lower.find(stem)
            while at >= 0:
                for number, offset, word in words:
                    if lower.startswith(word, at - offset):
                        found[number].append(at - offset)
                at = lower.find(stem, at + 1)
        if self.terms.runs:
            spans = list(_runs(text, min(self.terms.runs)))
            found += (
                [start for start, length in spans if length >= minimum]
                for minimum in self.terms.runs
            )
        found += ([match.start() for match in shape.finditer(text)] for shape in self.shapes)
        return found


_MIN_STEM_LENGTH = 3
"""Minimum length of a substring that words share."""

WordOfStem = tuple[int, int, str]
"""The number of a word, the offset of a stem in it, and the word."""


def _stems(words: Sequence[str]) -> dict[str, list[WordOfStem]]:
    """Return a small set of substrings such that each word contains one of them.

    The cover is greedy: the substring of most words first.
    """
    left = dict(enumerate(words))
    stems: dict[str, list[WordOfStem]] = {}
    while left:
        shared = Counter(stem for word in left.values() for stem in {*_substrings(word), word})
        stem = max(shared, key=lambda stem: (shared[stem], len(stem), stem))
        containing = [number for number, word in left.items() if stem in word]
        stems[stem] = [
            (number, left[number].index(stem), left.pop(number)) for number in containing
        ]
    return stems


def _substrings(word: str) -> Iterator[str]:
    for start in range(len(word)):
        for end in range(start + _MIN_STEM_LENGTH, len(word) + 1):
            yield word[start:end]


# Maps each byte in a run to "a" and each other byte to a space, so that runs are string searches.
_RUN_MARKS = bytes(
    ord("a") if byte >= 0x80 or chr(byte) in ASCII_IN_RUN else ord(" ") for byte in range(256)
)


def _runs(text: str, minimum: int) -> Iterator[tuple[int, int]]:
    """Yield the start, in characters, and the length, in bytes, of each run of `minimum` bytes."""
    data = text.encode(errors="surrogatepass")
    marked = data.translate(_RUN_MARKS) + b" "
    run = b"a" * minimum
    starts, lengths = [], []
    at = marked.find(run)
    while at >= 0:
        end = marked.index(b" ", at)
        starts.append(at)
        lengths.append(end - at)
        at = marked.find(run, end)
    positions = starts if len(data) == len(text) else _character_positions(data, starts)
    return zip(positions, lengths, strict=True)


class _HyperscanEngine:
    """All search terms as one automaton over the text's UTF-8."""

    def __init__(self, terms: SearchTerms) -> None:
        self.word_count = len(terms.words)
        self.sources = [
            *(re.escape(word) for word in terms.words),
            # Without the character after the run, each further character of it would be a match.
            *(f"[{IN_RUN}]{{{length}}}[^{IN_RUN}]" for length in terms.runs),
            *terms.shapes,
        ]
        run_numbers = range(self.word_count, self.word_count + len(terms.runs))
        # Bytes from the end of a match back to one that is certainly in its line: the character
        # after a run may be the line break.
        self.back = [2 if number in run_numbers else 1 for number in range(len(self.sources))]

    @cached_property
    def database(self) -> Any:
        import hyperscan

        database = hyperscan.Database()
        caseless = hyperscan.HS_FLAG_CASELESS
        database.compile(
            # A character outside ASCII is two bytes or more, all of them 0x80 or above.
            expressions=[s.replace(NON_ASCII, r"\x80-\xff").encode() for s in self.sources],
            ids=list(range(len(self.sources))),
            flags=[caseless if n < self.word_count else 0 for n in range(len(self.sources))],
        )
        return database

    def hits(self, text: str) -> Hits:
        found: Hits = [[] for _ in self.sources]
        if not found:
            return found

        def on_match(term: int, _start: int, end: int, _flags: int, _context: object) -> None:
            found[term].append(end)

        # A line break at the end, so that a run at the end of the text has a character after it.
        data = fold_to_ascii(text).encode(errors="surrogatepass") + b"\n"
        self.database.scan(data, match_event_handler=on_match)
        is_ascii = len(data) == len(text) + 1
        for term, ends in enumerate(found):
            if ends:
                positions = [end - self.back[term] for end in ends]
                found[term] = positions if is_ascii else list(_character_positions(data, positions))
        return found


_CONTINUATION_BYTES = bytes(range(0x80, 0xC0))


def _character_positions(data: bytes, positions: Iterable[int]) -> Iterator[int]:
    """Convert ascending positions of bytes in UTF-8 to positions of characters."""
    counted = characters = 0
    for position in positions:
        characters += len(data[counted : position + 1].translate(None, _CONTINUATION_BYTES))
        counted = position + 1
        yield characters - 1
