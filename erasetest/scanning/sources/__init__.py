"""Readers of a training corpus, one module per format; each plans jobs for worker processes."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from erasetest.errors import BadInput
from erasetest.scanning.sources.arrow import is_dataset, jobs_of_dataset, jobs_of_parquet
from erasetest.scanning.sources.files import FileBatcher
from erasetest.scanning.sources.git import jobs_of_revision
from erasetest.scanning.sources.jsonl import (
    MAX_RECORD_SIZE,
    has_records,
    is_record,
    jobs_of,
    jobs_of_file,
)
from erasetest.scanning.sources.texts import Columns, Job, Text, from_bytes
from erasetest.scanning.text_decoding import MAX_FILE_SIZE
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
    """Yield the jobs of a corpus, in a fixed order, and what is skipped.

    Args:
        paths: folders, files, data sets, repositories; `-` is standard input.
        revision: read each path as a git repository at this revision.
        stdin: read for `-`.
        columns: columns of data sets.
        written: files that the command writes, which are excluded from the corpus.

    Raises:
        BadInput: a path does not exist, or the options do not apply to it.
        MissingExtra: a data set needs a package that is not installed.
    """
    columns = columns or Columns()
    if revision is not None:
        for path in dict.fromkeys(paths):
            yield from jobs_of_revision(path, revision)
        return
    files = FileBatcher()
    if _STANDARD_INPUT in paths:
        if stdin is None:
            raise BadInput("-: there is no standard input: name files or folders")
        yield from _jobs_of_input(stdin, columns)
    for found in walk([path for path in paths if path != _STANDARD_INPUT], is_dataset, written):
        if isinstance(found, Skipped):
            yield found
            continue
        jobs = _jobs_of_dataset(found, columns)
        if jobs is None:
            yield from files.add(found)
        else:
            yield from files.flush()
            yield from jobs
    yield from files.flush()


def _jobs_of_dataset(path: Path, columns: Columns) -> Iterator[Job | Skipped] | None:
    """Return the jobs of a data set; None for any other file."""
    try:
        is_folder = path.is_dir()
    except OSError:
        # Reading it reports the reason, such as a name that is too long.
        return None
    if is_folder:
        return jobs_of_dataset(path, columns)
    if path.suffix.lower() == ".parquet":
        return jobs_of_parquet(path, columns)
    if has_records(path, columns):
        return jobs_of_file(path, columns)
    return None


@dataclass(frozen=True, slots=True)
class _InputJob:
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
    # Lines that must be read to see whether the input is a data set.
    first_line: list[tuple[int, bytes]] = []
    blank = 0
    while line := stdin.readline(MAX_RECORD_SIZE + 1):
        if line.strip():
            first_line.append((blank + 1, line))
            break
        blank += 1
    if first_line and is_record(first_line[0][1], columns):
        yield from jobs_of("stdin", stdin, columns, tuple(first_line))
        return
    head = b"\n" * min(blank, MAX_FILE_SIZE + 1) + (first_line[0][1] if first_line else b"")
    # One byte more than allowed shows that the input is too large.
    yield _InputJob(head + stdin.read(max(0, MAX_FILE_SIZE + 1 - len(head))))
