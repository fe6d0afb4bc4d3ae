"""Data sets in columns: Parquet files, and what Hugging Face's `save_to_disk` writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from erasetest.errors import MissingExtra
from erasetest.scan.sources.texts import BATCH, Columns, Text
from erasetest.scan.walk import Skipped, shown

_ROWS = 256
"""That are held at a time."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """Some rows of a file, numbered from `first`: one row group, or record batches from `start`."""

    path: Path
    start: int
    end: int
    first: int
    columns: Columns
    key: str
    size: int

    @property
    def name(self) -> str:
        """Of the first."""
        return f"{shown(self.path)}#{self.first}"

    def texts(self) -> Iterator[Text | Skipped]:
        """Each row's text."""
        number = self.first
        try:
            for batch in self._batches():
                for start in range(0, batch.num_rows, _ROWS):
                    for row in batch.slice(start, _ROWS).to_pylist():
                        yield self.columns.read(row, f"{shown(self.path)}#{number}")
                        number += 1
        except (OSError, ValueError) as error:
            yield _broken(self.path, number, error)

    def _batches(self) -> Iterator[Any]:
        """Record batches with the needed columns alone."""
        raise NotImplementedError


class RowGroup(_Rows):
    """Of a Parquet file."""

    __slots__ = ()

    def _batches(self) -> Iterator[Any]:
        with _parquet().ParquetFile(self.path) as file:
            names = self.columns.needed(file.schema_arrow.names)
            yield from file.iter_batches(_ROWS, row_groups=[self.start], columns=names)


class Batches(_Rows):
    """Of an Arrow stream."""

    __slots__ = ()

    def _batches(self) -> Iterator[Any]:
        for batch in islice(_stream(self.path), self.start, self.end):
            yield batch.select(self.columns.needed(batch.schema.names))


def jobs_of_parquet(path: Path, columns: Columns) -> Iterator[RowGroup | Skipped]:
    """The jobs of a Parquet file.

    Raises:
        MissingExtra: pyarrow is missing.
    """
    parquet = _parquet()
    name = shown(path)
    try:
        with parquet.ParquetFile(path) as file:
            if columns.of_text(file.schema_arrow.names) is None:
                yield Skipped(name, f"no text: {columns.expected()}")
                return
            first, changed = 1, path.stat().st_mtime_ns
            for group in range(file.num_row_groups):
                known = file.metadata.row_group(group)
                key = f"parquet {name} {group} {known.num_rows} {changed}"
                yield RowGroup(path, group, group + 1, first, columns, key, known.total_byte_size)
                first += known.num_rows
    except (OSError, ValueError) as error:
        yield _broken(path, 1, error)


def is_dataset(folder: Path) -> bool:
    """Whether `save_to_disk` wrote this folder."""
    return (folder / "dataset_dict.json").is_file() or (
        (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()
    )


def jobs_of_dataset(folder: Path, columns: Columns) -> Iterator[Batches | Skipped]:
    """The jobs of a data set on disk, or of all its splits.

    Raises:
        MissingExtra: pyarrow is missing.
    """
    named = folder / "dataset_dict.json"
    try:
        if named.is_file():
            for split in json.loads(named.read_text("utf-8"))["splits"]:
                yield from jobs_of_dataset(folder / str(split), columns)
            return
        state = json.loads((folder / "state.json").read_text("utf-8"))
        files = [folder / str(file["filename"]) for file in state["_data_files"]]
        if state.get("_indices_data_files"):
            reason = "its rows are chosen by indices: write it anew with flatten_indices()"
            yield Skipped(shown(folder), reason)
            return
    except (OSError, ValueError, TypeError, KeyError) as error:
        yield _broken(folder, 1, error)
        return
    for file in files:
        yield from _jobs_of_stream(file, columns)


def _jobs_of_stream(path: Path, columns: Columns) -> Iterator[Batches | Skipped]:
    name = shown(path)
    start = rows = size = 0
    first = 1
    try:
        changed = path.stat().st_mtime_ns
        at = -1
        for at, batch in enumerate(_stream(path)):
            if columns.of_text(batch.schema.names) is None:
                yield Skipped(name, f"no text: {columns.expected()}")
                return
            rows, size = rows + batch.num_rows, size + batch.nbytes
            if size >= BATCH:
                key = f"arrow {name} {start} {at + 1} {rows} {changed}"
                yield Batches(path, start, at + 1, first, columns, key, size)
                start, first, rows, size = at + 1, first + rows, 0, 0
        if rows:
            key = f"arrow {name} {start} {at + 1} {rows} {changed}"
            yield Batches(path, start, at + 1, first, columns, key, size)
    except (OSError, ValueError) as error:
        yield _broken(path, first, error)


def _broken(path: Path, number: int, error: Exception) -> Skipped:
    return Skipped(
        shown(path), f"broken: cannot be read from row {number} ({type(error).__name__})"
    )


def _stream(path: Path) -> Iterator[Any]:
    try:
        import pyarrow
    except ImportError:
        raise MissingExtra("pyarrow", "parquet", "reading a data set on disk") from None
    with pyarrow.memory_map(str(path)) as source:
        yield from pyarrow.ipc.open_stream(source)


def _parquet() -> Any:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise MissingExtra("pyarrow", "parquet", "reading a Parquet file") from None
    return parquet
