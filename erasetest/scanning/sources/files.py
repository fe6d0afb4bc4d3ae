"""Reads files of source code."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from erasetest.scanning.sources.compressed import BROKEN, is_compressed, opened, without_suffix
from erasetest.scanning.sources.texts import JOB_SIZE, MAX_FILES_PER_JOB, Text, from_bytes
from erasetest.scanning.text_decoding import MAX_FILE_SIZE, Unreadable, read_bytes
from erasetest.scanning.walk import Skipped, shown


@dataclass(frozen=True, slots=True)
class FilesJob:
    """Several files, read one after another."""

    paths: tuple[Path, ...]
    key: str
    size: int

    @property
    def name(self) -> str:
        """Name of the first file."""
        return shown(self.paths[0])

    def texts(self) -> Iterator[Text | Skipped]:
        """Yield the text of each file."""
        for path in self.paths:
            yield _read(path)


def _read(path: Path) -> Text | Skipped:
    name = shown(path)
    try:
        if not is_compressed(path):
            return from_bytes(name, read_bytes(path))
        with opened(path) as file:
            return from_bytes(without_suffix(name), file.read(MAX_FILE_SIZE + 1))
    except Unreadable as reason:
        return Skipped(name, str(reason))
    except BROKEN as error:
        return Skipped(name, f"broken: not a whole {path.suffix[1:]} file ({type(error).__name__})")
    except OSError as error:
        return Skipped(name, f"cannot be read: {error.strerror or type(error).__name__}")


class FileBatcher:
    """Groups files into jobs of about `JOB_SIZE` bytes."""

    def __init__(self) -> None:
        self._paths: list[Path] = []
        self._size = self._crc = 0

    def add(self, path: Path) -> Iterator[FilesJob]:
        """Add a file; yield a job if it is large enough."""
        try:
            found = path.stat()
            size, changed = min(found.st_size, MAX_FILE_SIZE), found.st_mtime_ns
        except OSError:
            size = changed = 0
        self._paths.append(path)
        self._size += size
        self._crc = zlib.crc32(f"{shown(path)}\0{size}\0{changed}".encode(), self._crc)
        if self._size >= JOB_SIZE or len(self._paths) >= MAX_FILES_PER_JOB:
            yield from self.flush()

    def flush(self) -> Iterator[FilesJob]:
        """Yield a job of the files that are in none yet."""
        if self._paths:
            key = f"files {shown(self._paths[0])} {len(self._paths)} {self._crc:08x}"
            yield FilesJob(tuple(self._paths), key, self._size)
        self._paths, self._size, self._crc = [], 0, 0
