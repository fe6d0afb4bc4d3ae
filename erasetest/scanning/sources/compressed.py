"""Opens compressed files as their content."""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

from erasetest.scanning.text_decoding import Unreadable, status

_SUFFIXES = (".gz", ".bz2", ".xz", ".zst")

BROKEN = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError)
"""Errors of reading a broken or truncated file (bz2 raises an `OSError` without errno instead)."""


def is_compressed(path: Path) -> bool:
    """Return whether a file is compressed, by its name."""
    return path.suffix.lower() in _SUFFIXES


def without_suffix(name: str) -> str:
    """Return the name without the suffix of the compression."""
    return name.rpartition(".")[0]


def opened(path: Path) -> IO[bytes]:
    """Open a file, compressed or not, for reading bytes.

    Raises:
        Unreadable: it is not a regular file, or no installed package reads its format.
        OSError: it cannot be opened.
    """
    status(path)
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
        frames = FrameReader(path.open("rb"), _decompressor(module), module.ZstdError)
        return io.BufferedReader(frames, 2**16)
    raise Unreadable("compressed by zstd, which needs the package zstandard")


def _decompressor(module: Any) -> Callable[[], Any]:
    if module.__name__ == "zstandard":
        return lambda: module.ZstdDecompressor().decompressobj()
    return cast("Callable[[], Any]", module.ZstdDecompressor)


class FrameReader(io.RawIOBase):
    """Reads all frames of a zstd file, one after another.

    The reader of the package zstandard ends at the first frame, and does not report that a file is
    truncated.

    Args:
        file: the compressed file.
        new_decompressor: returns a decompressor for one frame.
        error: raised by the decompressor if the file is broken.
    """

    _STEP = 2**10
    """Number of bytes read at once. It is small since each may expand to 32 KiB."""

    def __init__(
        self, file: IO[bytes], new_decompressor: Callable[[], Any], error: type[Exception]
    ) -> None:
        self._file, self._new_decompressor, self._error = file, new_decompressor, error
        self._decompressor: Any = None
        self._compressed = b""
        self._decompressed = memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer and return the number of bytes, 0 at the end of the file.

        Raises:
            EOFError: the file is broken or truncated.
        """
        while not self._decompressed:
            if not self._compressed:
                self._compressed = self._file.read(self._STEP)
            if not self._compressed:
                if self._decompressor is not None:
                    raise EOFError("the last frame is truncated")
                return 0
            self._decompressed = memoryview(self._decompress())
        count = min(len(buffer), len(self._decompressed))
        buffer[:count] = self._decompressed[:count]
        self._decompressed = self._decompressed[count:]
        return count

    def _decompress(self) -> bytes:
        decompressor = self._decompressor or self._new_decompressor()
        try:
            found = cast("bytes", decompressor.decompress(self._compressed))
        except self._error:
            raise EOFError("a frame is broken") from None
        self._compressed = decompressor.unused_data if decompressor.eof else b""
        self._decompressor = None if decompressor.eof else decompressor
        return found

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
