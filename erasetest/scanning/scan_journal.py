"""Journal of finished jobs, from which a scan that was stopped resumes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from erasetest.errors import BadInput
from erasetest.scanning.scan_job import Batch


class ScanJournal:
    """Batches in a file, one per line, after a line with the key of the scan.

    Args:
        path: the file. It contains secrets, so only its owner can read it.
        key: identifies the scan; batches of a scan with another key are dropped.

    Raises:
        BadInput: the path is something else than a journal, or cannot be written.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        if path.exists() and not path.is_file():
            raise self._in_the_way()
        try:
            # O_NOFOLLOW: a link in an untrusted corpus must not redirect what is written.
            handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
            self._file: IO[bytes] = os.fdopen(handle, "r+b")
            os.fchmod(handle, 0o600)
            header = json.dumps({"key": key}).encode() + b"\n"
            first = self._file.readline(1000)
            if first and not first.startswith(b'{"key": "'):
                self._file.close()
                raise self._in_the_way()
            self._end = 0
            if first != header:
                self._file.truncate(0)
                self._append(header)
                self._file.seek(len(header))
            self._start = self._end = len(header)
        except OSError as error:
            raise BadInput(f"{path}: cannot be written: {error.strerror}") from None

    def next_batch(self, job: str) -> Batch | None:
        """Return the next saved batch if it belongs to `job`; otherwise drop all remaining ones.

        Call it for each job in order, until it returns None for the first time.
        """
        line = self._file.readline()
        try:
            batch = Batch.from_json(line) if line.endswith(b"\n") else None
        except (ValueError, TypeError, KeyError, RecursionError):
            batch = None
        if batch is None or batch.job != job:
            self.drop_rest()
            return None
        self._end = self._file.tell()
        return batch

    def drop_rest(self) -> None:
        """Drop everything after the last accepted batch: a changed corpus or an incomplete line."""
        os.ftruncate(self._file.fileno(), self._end)

    def append(self, line: str) -> None:
        """Append a batch that is given as its line."""
        try:
            self._append(line.encode() + b"\n")
        except OSError as error:
            raise BadInput(f"{self.path}: cannot be written: {error.strerror}") from None

    def __iter__(self) -> Iterator[Batch]:
        """Yield all batches in order."""
        # A separate buffer: the one of `_file` may contain lines that have been dropped.
        with os.fdopen(os.dup(self._file.fileno()), "rb") as file:
            file.seek(self._start)
            for line in file:
                yield Batch.from_json(line)

    @property
    def size(self) -> int:
        """Size of all batches in bytes."""
        return os.fstat(self._file.fileno()).st_size - self._start

    def close(self) -> None:
        """Close the file; keep it for a later run if it contains batches."""
        if self._file.closed:
            return
        is_empty = self.size <= 0
        self._file.close()
        if is_empty:
            self.path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Close and delete the file, once the manifest is written."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _in_the_way(self) -> BadInput:
        return BadInput(
            f"{self.path}: exists and is not resume data of a scan: move it away, or name another "
            "output"
        )

    def _append(self, data: bytes) -> None:
        """Write all of the data behind the last batch, or nothing."""
        # Unbuffered: a buffer would retry the failed write when the file is closed.
        try:
            written = 0
            while written < len(data):
                written += os.pwrite(self._file.fileno(), data[written:], self._end + written)
        except OSError:
            self.drop_rest()
            raise
        self._end += len(data)
