"""What a text says where its encodings are undone, and how to write something else there.

Literals in a row, percent-encoding, escapes of string literals, base64 (also behind other
characters of its alphabet, of bytes that are no text, and twice), and hexadecimal.
"""

from __future__ import annotations

import base64
import binascii
import re
import urllib.parse
from collections.abc import Callable, Iterator
from typing import NamedTuple

_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_ESCAPE = re.compile(r"\\(?:u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[^\n])")
_BETWEEN_LITERALS = re.compile(r"""(?<=["'])[\s+.&\\]*[bBfFrRuU]{1,2}(?=["'])""")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}")
_HEXADECIMAL = re.compile(r"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{2}){6,}(?![0-9A-Fa-f])")
_URL_SAFE = str.maketrans("-_", "+/")

_GROUP = 4
"""Characters that encode three bytes in base64: its groups may begin at any of four places."""

Write = Callable[[str, str], str]
"""Takes an encoded text and another one, and returns the other, encoded like the first."""


class Piece(NamedTuple):
    """A range of a text, and what it says."""

    says: str
    start: int
    end: int
    write: Write | None = None
    """How to write something else there; None where that is not known."""

    def __repr__(self) -> str:
        return f"Piece([{self.start}, {self.end}))"


def readings(text: str) -> Iterator[list[Piece]]:
    """Yield a text as it is, then as it reads with each of its encodings undone.

    Between pieces of a reading are characters that do not belong to it.
    """
    yield list(_characters(text, 0, len(text)))
    for pattern, decode in (
        (_BETWEEN_LITERALS, _nothing),
        (_PERCENT, _unquoted),
        (_ESCAPE, _unescaped),
    ):
        if pattern.search(text):
            yield list(_decoding(text, pattern, decode))
    for shift in range(_GROUP):
        yield list(_from_base64(text, shift))
    yield list(_from_base64_twice(text))
    yield list(_from_hexadecimal(text))


def decoded_forms(secret: str) -> list[str]:
    """Return what a secret says if it is an encoding itself."""
    found = [urllib.parse.unquote(secret)] if _PERCENT.search(secret) else []
    says = _text_of_base64(secret)
    return [*found, says] if says and says.isprintable() else found


def _characters(text: str, start: int, end: int) -> Iterator[Piece]:
    return (Piece(text[i], i, i + 1, _as_it_is) for i in range(start, end))


def _decoding(
    text: str, pattern: re.Pattern[str], decode: Callable[[str, int], Iterator[Piece]]
) -> Iterator[Piece]:
    """Yield the characters of a text, and what the matches of a pattern say."""
    at = 0
    for match in pattern.finditer(text):
        yield from _characters(text, at, match.start())
        yield from decode(match.group(), match.start())
        at = match.end()
    yield from _characters(text, at, len(text))


def _as_it_is(_encoded: str, says: str) -> str:
    return says


def _nothing(between: str, start: int) -> Iterator[Piece]:
    yield Piece("", start, start + len(between))


def _unquoted(run: str, start: int) -> Iterator[Piece]:
    says = urllib.parse.unquote(run)
    if 3 * len(says) == len(run):
        for number, character in enumerate(says):
            yield Piece(character, start + 3 * number, start + 3 * number + 3, _quoted)
    else:
        yield Piece(says, start, start + len(run))


def _quoted(_encoded: str, says: str) -> str:
    return "".join(f"%{byte:02X}" for byte in says.encode())


def _unescaped(escape: str, start: int) -> Iterator[Piece]:
    code = escape[1:]
    says = " " if code in "abfnrtv0" else code
    if len(code) > 1:
        says = chr(int(code[1:], 16))
    yield Piece(says, start, start + len(escape), _escaped)


def _escaped(encoded: str, says: str) -> str:
    if len(encoded) == len("\\n"):
        return f"\\{says}"
    return f"{encoded[:2]}{ord(says):0{len(encoded) - 2}x}"


def _from_base64(text: str, shift: int) -> Iterator[Piece]:
    for run in _BASE64.finditer(text):
        start = run.start() + shift
        # A last group of one character encodes nothing.
        end = run.end() - (len(text[start : run.end()].rstrip("=")) % _GROUP == 1)
        says = _text_of_base64(text[start:end], any_bytes=True)
        if says:
            yield Piece(says, start, end, _to_base64)


def _from_base64_twice(text: str) -> Iterator[Piece]:
    for outer in _from_base64(text, 0):
        said = "".join(inner.says for inner in _from_base64(outer.says, 0))
        if said:
            yield Piece(said, outer.start, outer.end)


def _bytes_of_base64(encoded: str) -> bytes:
    body = encoded.rstrip("=").translate(_URL_SAFE)
    try:
        return base64.b64decode(body + "=" * (-len(body) % _GROUP), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _text_of_base64(encoded: str, *, any_bytes: bool = False) -> str:
    """Return the text that is encoded; other bytes as characters of the same number, if wanted."""
    data = _bytes_of_base64(encoded)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1") if any_bytes else ""


def _to_base64(encoded: str, says: str) -> str:
    data = _bytes_of_base64(encoded)
    try:
        data.decode()
        code = "utf-8"
    except UnicodeDecodeError:
        code = "latin-1"
    altered = base64.b64encode(says.encode(code, "replace")).decode().rstrip("=")
    if set(encoded) & set("-_"):
        altered = altered.translate({ord("+"): "-", ord("/"): "_"})
    return altered + "=" * encoded.count("=")


def _from_hexadecimal(text: str) -> Iterator[Piece]:
    for run in _HEXADECIMAL.finditer(text):
        says = bytes.fromhex(run.group()).decode("latin-1")
        if says.isascii() and says.isprintable():
            yield Piece(says, *run.span(), _to_hexadecimal)


def _to_hexadecimal(encoded: str, says: str) -> str:
    altered = says.encode().hex()
    return altered.upper() if encoded.isupper() else altered
