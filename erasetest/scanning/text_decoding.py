"""Decodes the bytes of a file to text."""

from __future__ import annotations

import codecs
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

MAX_FILE_SIZE = 5 * 2**20
"""Maximum number of bytes of a file that is scanned. Larger files are data; data sets of code leave
them out too."""

# UTF-32 first: its little-endian mark starts with that of UTF-16.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
# An encoding declaration in the first two lines, as in PEP 263, Emacs and Vim.
_DECLARED = re.compile(rb"\A(?:.*\n)?.*?coding[:=][ \t]*([-\w.]+)")
# Codecs that unescape text, or take quadratic time. No file is stored in them.
_REFUSED_CODECS = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape"})


class Unreadable(Exception):
    """The reason why a file cannot be scanned; never quotes the file."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A file's text without byte order mark, and whether its encoding was guessed."""

    text: str = field(repr=False)
    is_guessed: bool = False


def status(path: Path) -> os.stat_result:
    """Return the status of a regular file: opening a pipe would wait for its other end.

    Raises:
        Unreadable: it is not a regular file.
        OSError: its status cannot be read.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise Unreadable("not a regular file")
    return found


def read_bytes(path: Path) -> bytes:
    """Read a file.

    Raises:
        Unreadable: it is not a regular file, is too large, or cannot be read.
    """
    try:
        if status(path).st_size > MAX_FILE_SIZE:
            raise Unreadable(f"larger than {MAX_FILE_SIZE // 2**20} MiB")
        with path.open("rb") as file:
            # One byte more than allowed, since the file may have grown.
            return file.read(MAX_FILE_SIZE + 1)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from None


def decode(data: bytes) -> Decoded:
    """Decode a file: by its byte order mark, as UTF-8, by its declaration, or else as Latin-1.

    Raises:
        Unreadable: the file is not text.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
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
    return None if known in _REFUSED_CODECS else _decode(data, known)


def _decode(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except (ValueError, LookupError):
        return None
