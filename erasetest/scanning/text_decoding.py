"""Bytes of a file to text."""

from __future__ import annotations

import codecs
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

LARGEST_FILE = 5 * 2**20
"""Bytes of a file that is scanned: larger ones are data, and code data sets leave them out too."""

# The longer mark first: that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
# As PEP 263 has it, and Emacs and Vim: in the first two lines.
_DECLARED = re.compile(rb"\A(?:.*\n)?.*?coding[:=][ \t]*([-\w.]+)")
# Codecs that unescape, or take time quadratic in a text's length: no file is stored in them.
_NO_ENCODINGS = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape"})


class Unreadable(Exception):
    """Why a file cannot be scanned; never quotes it."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A file's text, without byte order mark, and whether nothing told its encoding."""

    text: str = field(repr=False)
    is_guessed: bool = False


def status(path: Path) -> os.stat_result:
    """The status of a file that can be opened without waiting for its other end.

    Raises:
        Unreadable: it is no regular file.
        OSError: it cannot be looked at.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise Unreadable("not a regular file")
    return found


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        Unreadable: it is no regular file, too large, or cannot be opened.
    """
    try:
        if status(path).st_size > LARGEST_FILE:
            raise Unreadable(f"larger than {LARGEST_FILE // 2**20} MiB")
        with path.open("rb") as file:
            # It may have grown since.
            return file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from None


def decode(data: bytes) -> Decoded:
    """The text of a file's bytes: UTF-8, or as its byte order mark or first lines say, or Latin-1.

    Raises:
        Unreadable: they are no text.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            text = _decode(data, encoding)
            if text is None:
                name = encoding.upper()
                raise Unreadable(f"undecodable: not the {name} that its first bytes announce")
            if "\0" in text:
                raise Unreadable("binary")
            return Decoded(text)
    if b"\0" in data:
        raise Unreadable("binary")
    text = _decode(data, "utf-8-sig")
    if text is not None:
        return Decoded(text)
    if _CONTROL.search(data):
        raise Unreadable("binary")
    declared = _DECLARED.match(data)
    if declared:
        text = _decode_as_declared(data, declared[1].decode("ascii", "replace"))
        if text is not None:
            return Decoded(text)
    return Decoded(data.decode("latin-1"), is_guessed=True)


def _decode_as_declared(data: bytes, encoding: str) -> str | None:
    try:
        known = codecs.lookup(encoding).name
    except (ValueError, LookupError):
        return None
    return None if known in _NO_ENCODINGS else _decode(data, known)


def _decode(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except (ValueError, LookupError):
        return None
