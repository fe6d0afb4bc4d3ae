"""Views of a text: the text without colour codes, without line breaks, or decoded.

A secret is searched for as consecutive characters. Other characters may interrupt it (colour codes,
the line prefixes of a diff, the NULs of UTF-16) or an encoding may hide it (base64, hex). Each view
undoes one of these, and maps its ranges back to the original text.
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
"""Maps a range of a view to the range of the original text that it comes from."""


@dataclass(frozen=True, slots=True)
class View:
    """A text derived from another one."""

    text: str
    span: Span
    loose: bool = False
    """True if the view joins characters that are not adjacent in the original text.

    Short secrets would then occur by chance, and are not searched for.
    """


def _codes(backslash: str) -> re.Pattern[str]:
    """Return a pattern of terminal codes and NULs, raw or escaped by repr or JSON.

    `backslash` is the pattern of the backslash of an escape.
    """
    escape = rf"(?:\x1b|{backslash}(?:x1b|033|u001b)|#x1B)"
    nul = rf"\x00|{backslash}(?:x00|u0000)|#x00"
    return re.compile(
        rf"{escape}\[[0-?]*[ -/]*[@-~]"  # colours, cursor movements
        rf"|{escape}\][^\x07\x1b\n]{{0,2000}}?(?:\x07|{backslash}x07|\\a|{escape}\\\\?)"  # links
        rf"|\x1b[ -/]*[0-Z\\-~]|\x9b[0-?]*[ -/]*[@-~]|{nul}"
    )


_CODES = _codes(r"\\")
_NESTED_CODES = _codes(r"\\{1,4}")
"""Codes escaped by a repr of a repr. Separate from `_CODES`, because a code that is escaped once
may follow a backslash that is not part of it.
"""

_CODE_SIGNS = ("\x1b", "\x9b", "\x00", "\\x1b", "\\x00", "\\033", "\\u00", "#x")
_NESTED_CODE_SIGNS = ("\\\\x1b", "\\\\x00", "\\\\033", "\\\\u00")
"""A text without any of these strings contains no code: a fast check before the patterns."""
_PREFIX = (
    r"\r?\n(?:[ \t]*\n)*(?:INTERNALERROR>|E(?=[ \t]))?[ \t│|>]*"
    r"(?:\?[ \t^+-]*\n(?:E(?=[ \t]))?[ \t]*)?(?:[-+](?=[ \t]))?[ \t]*"
)
_LINE_ENDS = re.compile(
    # Text that pytest, pprint, difflib and rich insert between two pieces of a wrapped string: a
    # closing quote, a box, the next line's "E", a line of "? ^^^", "+" or "-", an opening quote.
    # The part before the line's end has a maximum length, so that a long row of "|" takes linear
    # time.
    rf"['\"]{_PREFIX}[bBrRuU]{{0,2}}['\"]|\\?[ \t│|]{{0,12}}{_PREFIX}|[^\S\n]+"
)
_SPACE = re.compile(r"\s")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{11,}")
_URL_SAFE = str.maketrans("-_", "+/")
_HEX = re.compile(r"[0-9A-Fa-f]{16,}")


def without_codes(text: str) -> str:
    """Return a text without terminal codes and NULs."""
    return _CODES.sub("", text)


def compact(text: str) -> str:
    """Return a text without white space and without the decoration of wrapped strings."""
    return _LINE_ENDS.sub("", text)


def views(text: str) -> Iterator[View]:
    """Yield every view of a text that is searched for secrets, the text itself first."""
    view = View(text, _same)
    yield view
    if any(sign in text for sign in _CODE_SIGNS):
        view = _without(view, _CODES)
        yield view
    if any(sign in text for sign in _NESTED_CODE_SIGNS):
        view = _without(View(text, _same), _NESTED_CODES)
        yield view
    if _SPACE.search(text):
        view = _without(view, _LINE_ENDS, loose=True)
        yield view
    yield from _decoded(view)


def same_case(view: View) -> View:
    """Return a view with case-folded letters."""
    text = view.text
    folded = text.casefold()
    if len(folded) == len(text):
        return View(folded, view.span, view.loose)
    # Some letters fold to two: "ß" to "ss".
    origins = [at for at, character in enumerate(text) for _ in character.casefold()]
    return View(
        folded, lambda start, end: view.span(origins[start], origins[end - 1] + 1), view.loose
    )


def _same(start: int, end: int) -> tuple[int, int]:
    return start, end


def _without(view: View, pattern: re.Pattern[str], *, loose: bool = False) -> View:
    """Return a view without the matches of a pattern; a range across a match includes it."""

    @functools.cache
    def pieces() -> tuple[list[int], list[int]]:
        """Return the start of each remaining piece in the new view and in the old one."""
        # Computed on demand, for the few texts with a find: it takes longer than the search.
        begins, origins, at, size = [0], [0], 0, 0
        for match in pattern.finditer(view.text):
            size += match.start() - at
            at = match.end()
            begins.append(size)
            origins.append(at)
        return begins, origins

    def original(index: int) -> int:
        begins, origins = pieces()
        piece = bisect_right(begins, index) - 1
        return origins[piece] + index - begins[piece]

    return View(
        pattern.sub("", view.text),
        lambda start, end: view.span(original(start), original(end - 1) + 1),
        loose or view.loose,
    )


def _decoded(view: View) -> Iterator[View]:
    """Yield the decoded runs of base64 and hex, at every alignment."""
    for run in _BASE64.finditer(view.text):
        encoded = run.group().translate(_URL_SAFE)
        for offset in range(4):
            rest = (len(encoded) - offset) % 4
            # A single remaining character encodes less than a byte.
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
    """Yield views of decoded bytes, where `rate` is (characters of the view, bytes) of a group."""
    characters, size = rate
    last = len(view.text)

    def span(start: int, end: int) -> tuple[int, int]:
        first = begin + start * characters // size
        return view.span(first, min(last, begin - (-end * characters // size)))

    decoded = View(data.decode("latin-1"), span, loose=True)
    yield decoded
    if b"\0" in data:
        yield _without(decoded, _CODES)
