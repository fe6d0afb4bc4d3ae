"""Private keys: the whole block, of which detect-secrets reports only the first line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import zip_longest

from erasetest.scanning.detectors import Detector
from erasetest.scanning.document import Document, Finding, Line
from erasetest.scanning.required_literals import required_literals_of

_MAX_BLOCK_LENGTH = 20_000
"""Maximum number of characters that are searched for the end of a block."""

_LABEL = r"(?P<label>[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?)"
_BEGIN = re.compile(
    rf"-{{4,5}} ?BEGIN {_LABEL} ?-{{4,5}}|(?P<putty>PuTTY-User-Key-File)-\d: ",
)
_END = re.compile(rf"-{{4,5}} ?END {_LABEL} ?-{{4,5}}|(?P<putty>Private)-(?:MAC|Hash): [0-9a-f]+")
# A line of key material. Code between two markers has no run of letters of this length.
_MATERIAL = re.compile(r"[A-Za-z0-9+/]{32,}")
# May follow a BEGIN line whose END is missing: lines of material, quoted if they are in code.
_BETWEEN = r"(?:[\s\"'+,\\]|\\[nr])*+"
_LINES = re.compile(rf"{_BETWEEN}(?:[A-Za-z0-9+/=]{{32,}}+{_BETWEEN})++")


def find(document: Document, lines: Iterable[Line]) -> Iterator[Finding]:
    """Find blocks from the first dash of BEGIN to the last dash of END, on one or several lines.

    A block without END extends to the end of its key material; one without material is not a key.
    """
    text = document.text
    begins = [begin for line in lines for begin in _BEGIN.finditer(text, line.start, line.end)]
    for begin, following in zip_longest(begins, begins[1:]):
        limit = following.start() if following else len(text)
        end = _block_end(text, begin, min(limit, begin.end() + _MAX_BLOCK_LENGTH))
        if end is not None and not _touches_long_line(document, begin.start(), end):
            yield Finding(begin.start(), end, "private-key")


def _block_end(text: str, begin: re.Match[str], limit: int) -> int | None:
    end = _END.search(text, begin.end(), limit)
    if end is not None and end["label"] == begin["label"]:
        return end.end() if _MATERIAL.search(text, begin.end(), end.start()) else None
    material = _LINES.match(text, begin.end(), limit)
    return begin.end() + len(material.group().rstrip(" \t\r\n\"'+,\\")) if material else None


def _touches_long_line(document: Document, start: int, end: int) -> bool:
    return any(line.start < end and start < line.end for line in document.long_lines)


DETECTORS = (Detector(find, required_literals_of([_BEGIN])),)
