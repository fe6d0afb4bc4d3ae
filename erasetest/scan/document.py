"""The text of a file as detectors see it, and what they find in it."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field

from erasetest.redact import Masked

LONGEST_LINE = 10_000
"""Characters of a line that is scanned: longer ones are data or minified code, and take detectors
of keywords seconds each."""

# As open() in text mode splits: a form feed or a Unicode separator does not end a line of code.
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")


@dataclass(frozen=True, slots=True)
class Finding:
    """A half-open span `[start, end)` of code points that holds a secret, and its kind."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line: its number from 1, its span with the line break, its text without trailing space."""

    number: int
    start: int
    end: int
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Document:
    """A file's text, its lines, and apart from them the lines that are too long to be scanned."""

    path: str
    content: Masked
    lines: tuple[Line, ...] = field(repr=False)
    long_lines: tuple[Line, ...] = field(repr=False)

    @classmethod
    def of(cls, path: str, text: str) -> Document:
        """Split a text into lines; offsets count its code points, line breaks as they are."""
        lines = [
            Line(number, match.start(), match.end(), match.group().rstrip())
            for number, match in enumerate(_LINE.finditer(text), 1)
        ]
        return cls(
            path,
            Masked(text),
            tuple(line for line in lines if len(line.text) <= LONGEST_LINE),
            tuple(line for line in lines if len(line.text) > LONGEST_LINE),
        )

    @property
    def text(self) -> str:
        """The whole text."""
        return self.content.reveal()

    def line_at(self, position: int) -> Line | None:
        """The line that the code point at `position` stands in; None in a line that is too long."""
        index = bisect_right(self.lines, position, key=lambda line: line.start) - 1
        if index < 0 or position >= self.lines[index].end:
            return None
        return self.lines[index]
