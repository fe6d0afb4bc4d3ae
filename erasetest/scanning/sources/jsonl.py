"""Data sets of records, one JSON object a line."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path, PurePath
from typing import IO

from erasetest.scanning.sources.compressed import BROKEN, is_compressed, opened
from erasetest.scanning.sources.texts import BATCH, Columns, Text
from erasetest.scanning.text_decoding import Unreadable
from erasetest.scanning.walk import Skipped, shown

LONGEST_RECORD = 64 * 2**20
"""Bytes of a line that is held in memory."""

_SURE, _UNSURE = (".jsonl", ".ndjson"), (".json",)
_LOOKED_AT = 8
"""Lines of a file that tell whether it is a data set."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Some lines of a data set: their numbers, from 1, and their bytes."""

    file: str
    lines: tuple[tuple[int, bytes], ...] = field(repr=False)
    columns: Columns
    key: str
    size: int

    @property
    def name(self) -> str:
        """Of the first."""
        return f"{self.file}#{self.lines[0][0]}"

    def texts(self) -> Iterator[Text | Skipped]:
        """Each record's text."""
        for number, line in self.lines:
            where = f"{self.file}#{number}"
            row = _row(line)
            if row is None:
                yield Skipped(where, "not a JSON object")
            else:
                yield self.columns.read(row, where)


def has_records(path: Path, columns: Columns) -> bool:
    """Whether a file is a data set: a JSON object among its first lines.

    A `.json` must begin with two that have a column of text: a single one is a document like any
    other.
    """
    kind = PurePath(path.stem if is_compressed(path) else path.name).suffix.lower()
    if kind not in _SURE + _UNSURE:
        return False
    try:
        with opened(path) as file:
            # One after another: each may be as long as a line can be.
            first = (line for _, line in _numbered(file) if line is None or line.strip())
            told = islice(first, _LOOKED_AT)
            if kind in _SURE:
                return any(line is None or _row(line) is not None for line in told)
            two = list(islice(told, 2))
            return len(two) == 2 and all(line and is_record(line, columns) for line in two)
    except (OSError, Unreadable, *BROKEN):
        return False


def is_record(line: bytes, columns: Columns) -> bool:
    """Whether a line is a JSON object with a column of text."""
    row = _row(line)
    if row is None:
        return False
    return (
        columns.of_text(name for name, value in row.items() if isinstance(value, str)) is not None
    )


def jobs_of_file(path: Path, columns: Columns) -> Iterator[Lines | Skipped]:
    """The jobs of a data set; a break in it is told after what stands before it."""
    name = shown(path)
    try:
        with opened(path) as file:
            yield from jobs_of(name, file, columns)
    except Unreadable as reason:
        yield Skipped(name, str(reason))
    except OSError as error:
        yield Skipped(name, f"cannot be read: {error.strerror or type(error).__name__}")


def jobs_of(
    name: str, file: IO[bytes], columns: Columns, before: tuple[tuple[int, bytes], ...] = ()
) -> Iterator[Lines | Skipped]:
    """The jobs of an open data set, of which some lines were read before."""
    waiting: list[tuple[int, bytes]] = []
    size = crc = 0

    def rest() -> Iterator[Lines]:
        nonlocal size, crc
        if waiting:
            key = f"lines {name} {waiting[0][0]} {len(waiting)} {size} {crc:08x}"
            yield Lines(name, tuple(waiting), columns, key, size)
        waiting.clear()
        size = crc = 0

    broken: str | None = None
    lines = chain(before, _numbered(file, before[-1][0] if before else 0))
    while True:
        try:
            number, line = next(lines)
        except StopIteration:
            break
        except BROKEN:
            broken = "broken: the compressed file ends too soon; what stands before was scanned"
            break
        except OSError as error:
            reason = error.strerror or "the compressed file is damaged"
            broken = f"broken: {reason}; what stands before was scanned"
            break
        if line is None:
            yield from rest()
            yield Skipped(f"{name}#{number}", f"a line longer than {LONGEST_RECORD // 2**20} MiB")
        elif line.strip():
            waiting.append((number, line))
            size, crc = size + len(line), zlib.crc32(line, crc)
            if size >= BATCH:
                yield from rest()
    yield from rest()
    if broken is not None:
        yield Skipped(name, broken)


def _numbered(file: IO[bytes], last: int = 0) -> Iterator[tuple[int, bytes | None]]:
    """Each line and its number; None for one that is too long to be held."""
    number = last
    while line := file.readline(LONGEST_RECORD + 1):
        number += 1
        if len(line) <= LONGEST_RECORD:
            yield number, line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(BATCH)
        yield number, None


def _row(line: bytes) -> dict[str, object] | None:
    try:
        # Numbers of any length, none of which is looked at: Python reads no long ones as `int`.
        row = json.loads(line.removeprefix(b"\xef\xbb\xbf"), parse_int=float)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None
