"""Views of a text: what it says once colour codes, line breaks or an encoding are taken away.

A secret is looked for as a run of characters. Something else may cut the run (colour codes, the
prefix of a line in a diff, the NULs of UTF-16) or hide it (base64, hex). Each view undoes one of
these, and knows where in the original text its characters stand.
"""

from __future__ import annotations

import base64
import binascii
import functools
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Span = Callable[[int, int], tuple[int, int]]
"""From a range of a view to the range of the original text that it was read from."""


@dataclass(frozen=True, slots=True)
class View:
    """A text derived from another one."""

    text: str
    span: Span
    loose: bool = False
    """Whether a few characters may stand in a row by chance that do not do so in the original."""


def _codes(backslash: str) -> re.Pattern[str]:
    """Terminal codes and NULs, as they are and as repr or JSON write them after a `backslash`."""
    escape = rf"(?:\x1b|{backslash}(?:x1b|033|u001b)|#x1B)"
    nul = rf"\x00|{backslash}(?:x00|u0000)|#x00"
    return re.compile(
        rf"{escape}\[[0-?]*[ -/]*[@-~]"  # colours, movements of the cursor
        rf"|{escape}\][^\x07\x1b\n]{{0,2000}}?(?:\x07|{backslash}x07|\\a|{escape}\\\\?)"  # links
        rf"|\x1b[ -/]*[0-Z\\-~]|\x9b[0-?]*[ -/]*[@-~]|{nul}"
    )


_CODES = _codes(r"\\")
_CODES_OF_CODES = _codes(r"\\{1,4}")
"""Written by repr of repr. What is written once may follow a backslash that is not part of it."""
_CODE_SIGNS = ("\x1b", "\x9b", "\x00", "\\x1b", "\\x00", "\\033", "\\u00", "#x")
_TWICE_SIGNS = ("\\\\x1b", "\\\\x00", "\\\\033", "\\\\u00")
_PREFIX = (
    r"\r?\n(?:[ \t]*\n)*(?:INTERNALERROR>|E(?=[ \t]))?[ \t│|>]*"
    r"(?:\?[ \t^+-]*\n(?:E(?=[ \t]))?[ \t]*)?(?:[-+](?=[ \t]))?[ \t]*"
)
_LINE_ENDS = re.compile(
    # What pytest, pprint, difflib and rich put between two pieces of a string that they wrap: a
    # closing quote, a box, the next line's "E", a line of "? ^^^", "+" or "-", an opening quote.
    # What stands before the line's end is bounded: a long row of "|" must take linear time.
    rf"['\"]{_PREFIX}[bBrRuU]{{0,2}}['\"]|\\?[ \t│|]{{0,12}}{_PREFIX}|[^\S\n]+"
)
_SPACE = re.compile(r"\s")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{11,}")
_URL_SAFE = str.maketrans("-_", "+/")
_HEX = re.compile(r"[0-9A-Fa-f]{16,}")


def without_codes(text: str) -> str:
    """A text without colour codes and NULs."""
    return _CODES.sub("", text)


def compact(text: str) -> str:
    """A text without white space, and without what a wrapped string has at the ends of lines."""
    return _LINE_ENDS.sub("", text)


def views(text: str) -> Iterator[View]:
    """Every view of a text in which parts of secrets are looked for, itself first."""
    view = View(text, _same)
    yield view
    if any(sign in text for sign in _CODE_SIGNS):
        view = _without(view, _CODES)
        yield view
    if any(sign in text for sign in _TWICE_SIGNS):
        view = _without(View(text, _same), _CODES_OF_CODES)
        yield view
    if _SPACE.search(text):
        view = _without(view, _LINE_ENDS, loose=True)
        yield view
    yield from _decoded(view)


def same_case(view: View) -> View:
    """A view with the case of its letters removed."""
    text = view.text
    folded = text.casefold()
    if len(folded) == len(text):
        return View(folded, view.span, view.loose)
    # Some letters become two: "ß" is "ss".
    origins = [at for at, character in enumerate(text) for _ in character.casefold()]
    return View(
        folded, lambda start, end: view.span(origins[start], origins[end - 1] + 1), view.loose
    )


def _same(start: int, end: int) -> tuple[int, int]:
    return start, end


def _without(view: View, pattern: re.Pattern[str], *, loose: bool = False) -> View:
    """A view without what matches a pattern; a range across a match includes it."""

    @functools.cache
    def pieces() -> tuple[list[int], list[int]]:
        """Where each piece that was kept begins in the new view, and in the old one."""
        # Only for the few texts in which something is found: the list takes longer than the search.
        begins, origins, at, size = [0], [0], 0, 0
        for match in pattern.finditer(view.text):
            size += match.start() - at
            at = match.end()
            begins.append(size)
            origins.append(at)
        return begins, origins

    def place(index: int) -> int:
        begins, origins = pieces()
        piece = bisect_right(begins, index) - 1
        return origins[piece] + index - begins[piece]

    return View(
        pattern.sub("", view.text),
        lambda start, end: view.span(place(start), place(end - 1) + 1),
        loose or view.loose,
    )


def _decoded(view: View) -> Iterator[View]:
    """What runs of base64 and hex say, at every alignment."""
    for run in _BASE64.finditer(view.text):
        encoded = run.group().translate(_URL_SAFE)
        for offset in range(4):
            rest = (len(encoded) - offset) % 4
            # One character alone is less than a byte.
            end = len(encoded) - (rest if rest == 1 else 0)
            padding = "=" * (-(end - offset) % 4)
            try:
                data = base64.b64decode(encoded[offset:end] + padding)
            except binascii.Error:
                continue
            yield from _bytes_views(view, data, run.start() + offset, (4, 3))
    for run in _HEX.finditer(view.text):
        for offset in range(2):
            digits = run.group()[offset:]
            data = bytes.fromhex(digits[: len(digits) // 2 * 2])
            yield from _bytes_views(view, data, run.start() + offset, (2, 1))


def _bytes_views(view: View, data: bytes, begin: int, rate: tuple[int, int]) -> Iterator[View]:
    """Decoded bytes; `rate` is how many characters of the view give how many of them."""
    characters, size = rate
    last = len(view.text)

    def span(start: int, end: int) -> tuple[int, int]:
        first = begin + start * characters // size
        return view.span(first, min(last, begin - (-end * characters // size)))

    decoded = View(data.decode("latin-1"), span, loose=True)
    yield decoded
    if b"\0" in data:
        yield _without(decoded, _CODES)
