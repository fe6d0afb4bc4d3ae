"""Reads data sets of one JSON object per line."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path, PurePath
from typing import IO

from erasetest.scanning.sources.compressed import BROKEN, is_compressed, opened
from erasetest.scanning.sources.texts import JOB_SIZE, Columns, Text
from erasetest.scanning.text_decoding import Unreadable
from erasetest.scanning.walk import Skipped, shown

MAX_RECORD_SIZE = 64 * 2**20
"""Maximum number of bytes of a line that is read."""

_LINES_SUFFIXES = (".jsonl", ".ndjson")
_JSON_SUFFIX = ".json"
"""Suffix of a file that contains one document or one object per line."""

_INSPECTED_LINES = 8
"""Number of first lines by which a file is recognized as a data set."""


@dataclass(frozen=True, slots=True)
class LinesJob:
    """Several lines of a data set: their numbers, counted from 1, and their bytes."""

    file: str
    lines: tuple[tuple[int, bytes], ...] = field(repr=False)
    columns: Columns
    key: str
    size: int

    @property
    def name(self) -> str:
        """Name of the first record."""
        return f"{self.file}#{self.lines[0][0]}"

    def texts(self) -> Iterator[Text | Skipped]:
        """Yield the text of each record."""
        for number, line in self.lines:
            where = f"{self.file}#{number}"
            row = _row(line)
            if row is None:
                yield Skipped(where, "not a JSON object")
            else:
                yield self.columns.read(row, where)


def has_records(path: Path, columns: Columns) -> bool:
    """Return whether a file is a data set: whether there is a JSON object among its first lines.

    A `.json` file must start with two objects that have a text column, since a single one is a
    document.
    """
    suffix = PurePath(path.stem if is_compressed(path) else path.name).suffix.lower()
    if suffix not in (*_LINES_SUFFIXES, _JSON_SUFFIX):
        return False
    try:
        with opened(path) as file:
            # Lazily, since each line may be as long as `MAX_RECORD_SIZE`.
            first = (line for _, line in _numbered(file) if line is None or line.strip())
            inspected = islice(first, _INSPECTED_LINES)
            if suffix in _LINES_SUFFIXES:
                return any(line is None or _row(line) is not None for line in inspected)
            two = list(islice(inspected, 2))
            return len(two) == 2 and all(line and is_record(line, columns) for line in two)
    except (OSError, Unreadable, *BROKEN):
        return False


def is_record(line: bytes, columns: Columns) -> bool:
    """Return whether a line is a JSON object with a text column."""
    row = _row(line)
    if row is None:
        return False
    return (
        columns.of_text(name for name, value in row.items() if isinstance(value, str)) is not None
    )


def jobs_of_file(path: Path, columns: Columns) -> Iterator[LinesJob | Skipped]:
    """Yield the jobs of a data set; if it is broken, also that, after what precedes the break."""
    name = shown(path)
    try:
        with opened(path) as file:
            yield from jobs_of(name, file, columns)
    except Unreadable as reason:
        yield Skipped(name, str(reason))
    except OSError as error:
        yield Skipped(name, f"cannot be read: {error.strerror or type(error).__name__}")


def jobs_of(
    name: str, file: IO[bytes], columns: Columns, read: tuple[tuple[int, bytes], ...] = ()
) -> Iterator[LinesJob | Skipped]:
    """Yield the jobs of an open data set.

    Args:
        name: name of the data set.
        file: the data set.
        columns: its columns.
        read: lines that have been read from the file already, with their numbers.
    """
    waiting: list[tuple[int, bytes]] = []
    size = crc = 0

    def flush() -> Iterator[LinesJob]:
        nonlocal size, crc
        if waiting:
            key = f"lines {name} {waiting[0][0]} {len(waiting)} {size} {crc:08x}"
            yield LinesJob(name, tuple(waiting), columns, key, size)
        waiting.clear()
        size = crc = 0

    broken: str | None = None
    lines = chain(read, _numbered(file, read[-1][0] if read else 0))
    while True:
        try:
            number, line = next(lines)
        except StopIteration:
            break
        except BROKEN:
            broken = "broken: the compressed file is truncated; what precedes the break was scanned"
            break
        except OSError as error:
            reason = error.strerror or "the compressed file is damaged"
            broken = f"broken: {reason}; what precedes the break was scanned"
            break
        if line is None:
            yield from flush()
            yield Skipped(f"{name}#{number}", f"a line longer than {MAX_RECORD_SIZE // 2**20} MiB")
        elif line.strip():
            waiting.append((number, line))
            size, crc = size + len(line), zlib.crc32(line, crc)
            if size >= JOB_SIZE:
                yield from flush()
    yield from flush()
    if broken is not None:
        yield Skipped(name, broken)


def _numbered(file: IO[bytes], last: int = 0) -> Iterator[tuple[int, bytes | None]]:
    """Yield the number and the bytes of each line; None for a line that is too long."""
    number = last
    while line := file.readline(MAX_RECORD_SIZE + 1):
        number += 1
        if len(line) <= MAX_RECORD_SIZE:
            yield number, line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(JOB_SIZE)
        yield number, None


def _row(line: bytes) -> dict[str, object] | None:
    try:
        # Numbers are not used, and Python refuses to parse very long ones as `int`.
        row = json.loads(line.removeprefix(b"\xef\xbb\xbf"), parse_int=float)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None
