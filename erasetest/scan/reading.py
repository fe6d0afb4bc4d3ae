"""Bytes of a file to text."""

from __future__ import annotations

import codecs
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

LARGEST_FILE = 5 * 2**20
"""Bytes of a file that is scanned: larger ones are data, and code data sets leave them out too."""

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


class Unreadable(Exception):
    """Why a file cannot be scanned; never quotes it."""


@dataclass(frozen=True, slots=True)
class Text:
    """A file's text, without byte order mark, and whether its encoding was guessed."""

    text: str = field(repr=False)
    is_latin1: bool


def read(path: Path) -> Text:
    """Read a file as UTF-8, as UTF-16 with a byte order mark, or else as Latin-1.

    Raises:
        Unreadable: it is no regular file, too large, binary, not decodable, or cannot be opened.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("not a regular file")
        if status.st_size > LARGEST_FILE:
            raise Unreadable(f"larger than {LARGEST_FILE // 2**20} MiB")
        data = path.read_bytes()
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from None
    return decode(data)


def decode(data: bytes) -> Text:
    """The text of a file's bytes.

    Raises:
        Unreadable: they are no text.
    """
    if data.startswith(_UTF16):
        text = _decode(data, "utf-16")
        if text is None:
            raise Unreadable("undecodable: not the UTF-16 that its first bytes announce")
    elif b"\0" in data:
        raise Unreadable("binary")
    else:
        text = _decode(data, "utf-8-sig")
    if text is not None:
        if "\0" in text:
            raise Unreadable("binary")
        return Text(text, is_latin1=False)
    if _CONTROL.search(data):
        raise Unreadable("binary")
    return Text(data.decode("latin-1"), is_latin1=True)


def _decode(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None
