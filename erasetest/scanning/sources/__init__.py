"""Readers of a training corpus: one module a format, each planning jobs that any process can do."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from erasetest.errors import BadInput
from erasetest.scanning.sources.arrow import is_dataset, jobs_of_dataset, jobs_of_parquet
from erasetest.scanning.sources.files import Gatherer
from erasetest.scanning.sources.git import jobs_of_revision
from erasetest.scanning.sources.jsonl import (
    LONGEST_RECORD,
    has_records,
    is_record,
    jobs_of,
    jobs_of_file,
)
from erasetest.scanning.sources.texts import Columns, Job, Text, from_bytes
from erasetest.scanning.text_decoding import LARGEST_FILE
from erasetest.scanning.walk import Skipped, walk

__all__ = ["Columns", "Job", "Text", "plan"]

_STANDARD_INPUT = Path("-")


def plan(
    paths: Sequence[Path],
    *,
    revision: str | None = None,
    stdin: IO[bytes] | None = None,
    columns: Columns | None = None,
    written: Collection[Path] = (),
) -> Iterator[Job | Skipped]:
    """The jobs of a corpus, in a fixed order, and what is left out; nothing is held for long.

    Args:
        paths: folders, files, data sets, repositories; `-` is standard input.
        revision: read each path as a git repository, as it is at this revision.
        stdin: read for `-`.
        columns: of data sets.
        written: files that the command writes itself, which are no part of the corpus.

    Raises:
        BadInput: a path does not exist, or is not what the options take it for.
        MissingExtra: a data set needs a package that is not installed.
    """
    columns = columns or Columns()
    if revision is not None:
        for path in dict.fromkeys(paths):
            yield from jobs_of_revision(path, revision)
        return
    files = Gatherer()
    if _STANDARD_INPUT in paths:
        if stdin is None:
            raise BadInput("-: there is no standard input: name files or folders")
        yield from _jobs_of_input(stdin, columns)
    for found in walk([path for path in paths if path != _STANDARD_INPUT], is_dataset, written):
        if isinstance(found, Skipped):
            yield found
            continue
        special = _special(found, columns)
        if special is None:
            yield from files.add(found)
        else:
            yield from files.rest()
            yield from special
    yield from files.rest()


def _special(path: Path, columns: Columns) -> Iterator[Job | Skipped] | None:
    """The jobs of a data set; None for a file like any other."""
    try:
        is_folder = path.is_dir()
    except OSError:
        # Its name is too long, say: reading it tells.
        return None
    if is_folder:
        return jobs_of_dataset(path, columns)
    if path.suffix.lower() == ".parquet":
        return jobs_of_parquet(path, columns)
    if has_records(path, columns):
        return jobs_of_file(path, columns)
    return None


@dataclass(frozen=True, slots=True)
class _Input:
    """Standard input as one text."""

    data: bytes = field(repr=False)
    name: str = "stdin"

    @property
    def key(self) -> str:
        return f"stdin {len(self.data)} {zlib.crc32(self.data):08x}"

    @property
    def size(self) -> int:
        return len(self.data)

    def texts(self) -> Iterator[Text | Skipped]:
        yield from_bytes(self.name, self.data)


def _jobs_of_input(stdin: IO[bytes], columns: Columns) -> Iterator[Job | Skipped]:
    before: list[tuple[int, bytes]] = []
    blank = 0
    while line := stdin.readline(LONGEST_RECORD + 1):
        if line.strip():
            before.append((blank + 1, line))
            break
        blank += 1
    if before and is_record(before[0][1], columns):
        yield from jobs_of("stdin", stdin, columns, tuple(before))
        return
    first = b"\n" * min(blank, LARGEST_FILE + 1) + (before[0][1] if before else b"")
    yield _Input(first + stdin.read(max(0, LARGEST_FILE + 1 - len(first))))
