"""Batches of a scan, kept until its manifest is whole: a killed scan goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from erasetest.errors import BadInput
from erasetest.scanning.scan_job import Batch


class ScanJournal:
    """Batches in a file, a line each, after a line that says what they hang on.

    Args:
        path: the file. It holds secrets, and only its owner can read it.
        key: what the batches hang on; those of other work are dropped.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        if path.exists() and not path.is_file():
            raise BadInput(f"{path}: is in the way: findings are kept there until all are known")
        try:
            # No link of a stranger's corpus leads what is written elsewhere.
            handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
            self._file: IO[bytes] = os.fdopen(handle, "r+b")
            os.fchmod(handle, 0o600)
            header = json.dumps({"key": key}).encode() + b"\n"
            first = self._file.readline(1000)
            if first and not first.startswith(b'{"key": "'):
                self._file.close()
                raise BadInput(
                    f"{path}: is in the way: findings are kept there until all are known"
                )
            self._end = 0
            if first != header:
                self._file.truncate(0)
                self._append(header)
                self._file.seek(len(header))
            self._first = self._end = len(header)
        except OSError as error:
            raise BadInput(f"{path}: cannot be written: {error.strerror}") from None

    def known(self, job: str) -> Batch | None:
        """The next batch that an earlier run left, if it is of this job; else none is known more.

        Called for each job in order, until it gives None for the first time.
        """
        line = self._file.readline()
        try:
            batch = Batch.from_json(line) if line.endswith(b"\n") else None
        except (ValueError, TypeError, KeyError, RecursionError):
            batch = None
        if batch is None or batch.job != job:
            self.cut()
            return None
        self._end = self._file.tell()
        return batch

    def cut(self) -> None:
        """Drop what follows the last known batch: it is of another corpus, or was cut off."""
        os.ftruncate(self._file.fileno(), self._end)

    def keep(self, line: str) -> None:
        """Add a batch, given as its line."""
        try:
            self._append(line.encode() + b"\n")
        except OSError as error:
            raise BadInput(f"{self.path}: cannot be written: {error.strerror}") from None

    def __iter__(self) -> Iterator[Batch]:
        """All batches, in order."""
        # Another buffer: that of the first reader may hold what was cut off.
        with os.fdopen(os.dup(self._file.fileno()), "rb") as file:
            file.seek(self._first)
            for line in file:
                yield Batch.from_json(line)

    @property
    def size(self) -> int:
        """How many bytes of batches there are."""
        return os.fstat(self._file.fileno()).st_size - self._first

    def close(self) -> None:
        """Keep the file for another run, if there is anything in it."""
        if self._file.closed:
            return
        is_empty = self.size <= 0
        self._file.close()
        if is_empty:
            self.path.unlink(missing_ok=True)

    def remove(self) -> None:
        """All is written: the file goes."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _append(self, data: bytes) -> None:
        """Write behind the last batch all of this, or nothing."""
        # Not through a buffer, which would try again what failed once the disk is full.
        try:
            written = 0
            while written < len(data):
                written += os.pwrite(self._file.fileno(), data[written:], self._end + written)
        except OSError:
            self.cut()
            raise
        self._end += len(data)
