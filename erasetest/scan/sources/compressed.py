"""Compressed files, opened as what they hold."""

from __future__ import annotations

import bz2
import gzip
import importlib
import lzma
import zlib
from pathlib import Path
from typing import IO, cast

from erasetest.scan.reading import Unreadable

_SUFFIXES = (".gz", ".bz2", ".xz", ".zst")

BROKEN = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError)
"""What reading raises where a file is broken or ends too soon (bz2: an `OSError` without errno)."""


def is_compressed(path: Path) -> bool:
    """By its name."""
    return path.suffix.lower() in _SUFFIXES


def without_suffix(name: str) -> str:
    """The name of what is inside."""
    return name.rpartition(".")[0]


def opened(path: Path) -> IO[bytes]:
    """Open a file, compressed or not, to be read as bytes.

    Raises:
        Unreadable: nothing here reads its format.
        OSError: it cannot be opened.
    """
    match path.suffix.lower():
        case ".gz":
            return cast("IO[bytes]", gzip.open(path))
        case ".bz2":
            return cast("IO[bytes]", bz2.open(path))
        case ".xz":
            return cast("IO[bytes]", lzma.open(path))
        case ".zst":
            return _opened_zstandard(path)
    return path.open("rb")


def _opened_zstandard(path: Path) -> IO[bytes]:
    for name in ("compression.zstd", "zstandard"):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        return cast("IO[bytes]", module.open(path, "rb"))
    raise Unreadable("compressed by zstd, which needs the package zstandard")
