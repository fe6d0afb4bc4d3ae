"""Files of source code."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from erasetest.scanning.sources.compressed import BROKEN, is_compressed, opened, without_suffix
from erasetest.scanning.sources.texts import BATCH, MOST_FILES, Text, from_bytes
from erasetest.scanning.text_decoding import LARGEST_FILE, Unreadable, read_bytes
from erasetest.scanning.walk import Skipped, shown


@dataclass(frozen=True, slots=True)
class Files:
    """Some files, read one after another."""

    paths: tuple[Path, ...]
    key: str
    size: int

    @property
    def name(self) -> str:
        """Of the first."""
        return shown(self.paths[0])

    def texts(self) -> Iterator[Text | Skipped]:
        """Each file's text."""
        for path in self.paths:
            yield _read(path)


def _read(path: Path) -> Text | Skipped:
    name = shown(path)
    try:
        if not is_compressed(path):
            return from_bytes(name, read_bytes(path))
        with opened(path) as file:
            return from_bytes(without_suffix(name), file.read(LARGEST_FILE + 1))
    except Unreadable as reason:
        return Skipped(name, str(reason))
    except BROKEN as error:
        return Skipped(name, f"broken: not a whole {path.suffix[1:]} file ({type(error).__name__})")
    except OSError as error:
        return Skipped(name, f"cannot be read: {error.strerror or type(error).__name__}")


class Gatherer:
    """Makes jobs of files, as many together as are worth it."""

    def __init__(self) -> None:
        self._paths: list[Path] = []
        self._size = self._crc = 0

    def add(self, path: Path) -> Iterator[Files]:
        """Take a file; a job, if there are enough."""
        try:
            found = path.stat()
            size, changed = min(found.st_size, LARGEST_FILE), found.st_mtime_ns
        except OSError:
            size = changed = 0
        self._paths.append(path)
        self._size += size
        self._crc = zlib.crc32(f"{shown(path)}\0{size}\0{changed}".encode(), self._crc)
        if self._size >= BATCH or len(self._paths) >= MOST_FILES:
            yield from self.rest()

    def rest(self) -> Iterator[Files]:
        """A job of those that wait."""
        if self._paths:
            key = f"files {shown(self._paths[0])} {len(self._paths)} {self._crc:08x}"
            yield Files(tuple(self._paths), key, self._size)
        self._paths, self._size, self._crc = [], 0, 0
