"""Compressed files, opened as what they hold."""

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
        Unreadable: it is no regular file, or nothing here reads its format.
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
        frames = _Frames(path.open("rb"), _decompressor(module), module.ZstdError)
        return io.BufferedReader(frames, 2**16)
    raise Unreadable("compressed by zstd, which needs the package zstandard")


def _decompressor(module: Any) -> Callable[[], Any]:
    if module.__name__ == "zstandard":
        return lambda: module.ZstdDecompressor().decompressobj()
    return cast("Callable[[], Any]", module.ZstdDecompressor)


class _Frames(io.RawIOBase):
    """All frames of a zstd file, one after another.

    What the package zstandard opens by itself ends at the first frame, and does not tell where a
    file was cut off.

    Args:
        file: compressed.
        begin: makes what decompresses a frame.
        error: what that raises where the file is broken.
    """

    _STEP = 2**10
    """Bytes read at a time: few, as each may stand for 32 KiB."""

    def __init__(self, file: IO[bytes], begin: Callable[[], Any], error: type[Exception]) -> None:
        self._file, self._begin, self._error = file, begin, error
        self._frame: Any = None
        self._given = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, or what is left fills; 0 at the end.

        Raises:
            EOFError: the file is broken or ends too soon.
        """
        while not self._ready:
            if not self._given:
                self._given = self._file.read(self._STEP)
            if not self._given:
                if self._frame is not None:
                    raise EOFError("the last frame is cut off")
                return 0
            self._ready = memoryview(self._next())
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _next(self) -> bytes:
        frame = self._frame or self._begin()
        try:
            found = cast("bytes", frame.decompress(self._given))
        except self._error:
            raise EOFError("a frame is broken") from None
        self._given = frame.unused_data if frame.eof else b""
        self._frame = None if frame.eof else frame
        return found

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
