"""The text of a file as detectors see it, and the findings that they return."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from erasetest.samples import Masked

Confidence = Literal["high", "medium", "low"]

CONFIDENCES: tuple[Confidence, ...] = ("low", "medium", "high")
"""All confidences in ascending order."""

MAX_LINE_LENGTH = 10_000
"""Maximum number of characters of a line that is scanned. Longer lines are data or minified code,
and the keyword detectors take seconds on each."""

# As open() in text mode splits: a form feed or a Unicode separator does not end a line of code.
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_LINE_BREAK = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Finding:
    """A half-open span `[start, end)` of code points that contains a secret, with its kind.

    Confidence is `high` if the format of the secret identifies it, `medium` if the code around it
    does (a variable name, a URL), and `low` if it only looks random.
    """

    start: int
    end: int
    kind: str
    confidence: Confidence = "high"


@dataclass(frozen=True, slots=True)
class Line:
    """A line: its span including the line break, and its text without trailing whitespace."""

    start: int
    end: int
    text: str = field(repr=False)


@dataclass(frozen=True)
class Document:
    """A file's text with access to its lines, which are split on first use."""

    path: str
    content: Masked

    @classmethod
    def of(cls, path: str, text: str) -> Document:
        """Return a document. Offsets are code points, with the original line breaks."""
        return cls(path, Masked(text))

    @property
    def text(self) -> str:
        """The whole text."""
        return self.content.reveal()

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """All lines of at most `MAX_LINE_LENGTH` characters."""
        return tuple(line for line in self._all_lines() if len(line.text) <= MAX_LINE_LENGTH)

    @cached_property
    def long_lines(self) -> tuple[Line, ...]:
        """All lines of more than `MAX_LINE_LENGTH` characters, which are not scanned."""
        text = self.text
        if len(text) <= MAX_LINE_LENGTH or max(map(len, text.split("\n"))) <= MAX_LINE_LENGTH:
            return ()
        return tuple(line for line in self._all_lines() if len(line.text) > MAX_LINE_LENGTH)

    def line_at(self, position: int) -> Line | None:
        """Return the line that contains the code point at `position`; None if it is a long line."""
        text = self.text
        if not 0 <= position < len(text):
            return None
        if self._has_carriage_return_breaks:
            index = bisect_right(self.lines, position, key=lambda line: line.start) - 1
            line = self.lines[index] if index >= 0 else None
            return line if line is not None and position < line.end else None
        if self._long_spans and self._long_spans[-1][0] <= position < self._long_spans[-1][1]:
            return None
        start = text.rfind("\n", 0, position) + 1
        end = text.find("\n", position) + 1 or len(text)
        line = Line(start, end, text[start:end].rstrip())
        if len(line.text) <= MAX_LINE_LENGTH:
            return line
        # The next position is often in the same long line, whose ends take long to search.
        self._long_spans.append((start, end))
        return None

    def end_at(self, position: int) -> int:
        """Return the end of the line that contains `position`, however long the line is."""
        if self._has_carriage_return_breaks:
            index = bisect_right(self._line_ends, position)
            return self._line_ends[index] if index < len(self._line_ends) else len(self.text)
        return self.text.find("\n", position) + 1 or len(self.text)

    def number_of(self, line: Line) -> int:
        """Return the number of a line, counted from 1."""
        if self._has_carriage_return_breaks:
            return 1 + bisect_right(self._line_ends, line.start)
        return 1 + self.text.count("\n", 0, line.start)

    @cached_property
    def _long_spans(self) -> list[tuple[int, int]]:
        return []

    @cached_property
    def _line_ends(self) -> list[int]:
        return [match.end() for match in _LINE_BREAK.finditer(self.text)]

    @cached_property
    def _has_carriage_return_breaks(self) -> bool:
        # A lone "\r" ends a line too; only then is a search for "\n" not enough.
        return self.text.count("\r") != self.text.count("\r\n")

    def _all_lines(self) -> Iterator[Line]:
        for match in _LINE.finditer(self.text):
            yield Line(match.start(), match.end(), match.group().rstrip())
