"""The text of a file as detectors see it, and what they find in it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from erasetest.samples import Masked

Confidence = Literal["high", "medium", "low"]

LONGEST_LINE = 10_000
"""Characters of a line that is scanned: longer ones are data or minified code, and take detectors
of keywords seconds each."""

# As open() in text mode splits: a form feed or a Unicode separator does not end a line of code.
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_BREAK = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Finding:
    """A half-open span `[start, end)` of code points that holds a secret, its kind, and how sure.

    Confidence is `high` where the secret's own form names what it is, `medium` where what stands
    around it does, and `low` where it only looks random.
    """

    start: int
    end: int
    kind: str
    confidence: Confidence = "high"


@dataclass(frozen=True, slots=True)
class Line:
    """A line: its span with the line break, and its text without trailing space."""

    start: int
    end: int
    text: str = field(repr=False)


@dataclass(frozen=True)
class Document:
    """A file's text and its lines. Nothing is split before it is asked for."""

    path: str
    content: Masked

    @classmethod
    def of(cls, path: str, text: str) -> Document:
        """A document; offsets count the text's code points, line breaks as they are."""
        return cls(path, Masked(text))

    @property
    def text(self) -> str:
        """The whole text."""
        return self.content.reveal()

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """All lines but those that are too long to be scanned."""
        return tuple(line for line in self._all_lines() if len(line.text) <= LONGEST_LINE)

    @cached_property
    def long_lines(self) -> tuple[Line, ...]:
        """The lines that are too long to be scanned."""
        text = self.text
        if len(text) <= LONGEST_LINE or max(map(len, text.split("\n"))) <= LONGEST_LINE:
            return ()
        return tuple(line for line in self._all_lines() if len(line.text) > LONGEST_LINE)

    def line_at(self, position: int) -> Line | None:
        """The line that the code point at `position` stands in; None in a line that is too long."""
        text = self.text
        if not 0 <= position < len(text):
            return None
        if self._has_other_breaks:
            index = bisect_right(self.lines, position, key=lambda line: line.start) - 1
            line = self.lines[index] if index >= 0 else None
            return line if line is not None and position < line.end else None
        if self._long and self._long[-1][0] <= position < self._long[-1][1]:
            return None
        start = text.rfind("\n", 0, position) + 1
        end = text.find("\n", position) + 1 or len(text)
        line = Line(start, end, text[start:end].rstrip())
        if len(line.text) <= LONGEST_LINE:
            return line
        # The next place is often in the same one, and its ends are far.
        self._long.append((start, end))
        return None

    def end_at(self, position: int) -> int:
        """Where the line of a position ends, however long it is."""
        if self._has_other_breaks:
            index = bisect_right(self._ends, position)
            return self._ends[index] if index < len(self._ends) else len(self.text)
        return self.text.find("\n", position) + 1 or len(self.text)

    def number_of(self, line: Line) -> int:
        """The number of a line, from 1."""
        if self._has_other_breaks:
            return 1 + bisect_right(self._ends, line.start)
        return 1 + self.text.count("\n", 0, line.start)

    @cached_property
    def _long(self) -> list[tuple[int, int]]:
        return []

    @cached_property
    def _ends(self) -> list[int]:
        return [match.end() for match in _BREAK.finditer(self.text)]

    @cached_property
    def _has_other_breaks(self) -> bool:
        return self.text.count("\r") != self.text.count("\r\n")

    def _all_lines(self) -> Iterator[Line]:
        for match in _LINE.finditer(self.text):
            yield Line(match.start(), match.end(), match.group().rstrip())
