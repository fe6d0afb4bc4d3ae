"""Data sets in columns: Parquet files, and what Hugging Face's `save_to_disk` writes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePath
from typing import Any

from erasetest.errors import MissingExtra
from erasetest.scanning.sources.texts import BATCH, Columns, Text
from erasetest.scanning.text_decoding import Unreadable, status
from erasetest.scanning.walk import Skipped, shown

_ROWS = 256
_HELD = 16 * BATCH
"""Rows, and bytes of rows of usual length, that are held at a time."""

_BYTES_OF = {
    "string": "binary",
    "large_string": "large_binary",
    "string_view": "binary_view",
    "binary": "binary",
    "large_binary": "large_binary",
    "binary_view": "binary_view",
}
"""Types of Arrow that hold texts, and how the bytes of each are seen."""

_BROKEN = (OSError, ValueError, TypeError, LookupError, NotImplementedError, MemoryError)
"""What pyarrow's errors are."""

_SPLITS = "dataset_dict.json"
_STATE = ("state.json", "dataset_info.json")
"""Files that make a folder a data set, of splits or by itself."""


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
                names = self.columns.needed(_names(batch.schema))
                seen = _as_bytes(batch, names)
                step = _rows_at_a_time(seen.nbytes, seen.num_rows)
                for start in range(0, seen.num_rows, step):
                    for row in seen.slice(start, step).to_pylist():
                        texts = {name: _text(value) for name, value in row.items()}
                        yield self.columns.read(texts, f"{shown(self.path)}#{number}")
                        number += 1
        except _BROKEN as error:
            yield _broken(self.path, number, error)

    def _batches(self) -> Iterator[Any]:
        """Record batches that hold the needed columns."""
        raise NotImplementedError


class RowGroup(_Rows):
    """Of a Parquet file."""

    __slots__ = ()

    def _batches(self) -> Iterator[Any]:
        with _parquet().ParquetFile(self.path) as file:
            names = self.columns.needed(_names(file.schema_arrow))
            known = file.metadata.row_group(self.start)
            rows = _rows_at_a_time(known.total_byte_size, known.num_rows)
            yield from file.iter_batches(rows, row_groups=[self.start], columns=names)


class RecordBatches(_Rows):
    """Of an Arrow stream."""

    __slots__ = ()

    def _batches(self) -> Iterator[Any]:
        return islice(_stream(self.path), self.start, self.end)


def jobs_of_parquet(path: Path, columns: Columns) -> Iterator[RowGroup | Skipped]:
    """The jobs of a Parquet file.

    Raises:
        MissingExtra: pyarrow is missing.
    """
    parquet = _parquet()
    name = shown(path)
    try:
        changed = status(path).st_mtime_ns
        with parquet.ParquetFile(path) as file:
            if columns.of_text(_names(file.schema_arrow)) is None:
                yield Skipped(name, f"no text: {columns.expected()}")
                return
            first = 1
            for group in range(file.num_row_groups):
                known = file.metadata.row_group(group)
                key = f"parquet {name} {group} {known.num_rows} {changed}"
                yield RowGroup(path, group, group + 1, first, columns, key, known.total_byte_size)
                first += known.num_rows
    except Unreadable as reason:
        yield Skipped(name, str(reason))
    except _BROKEN as error:
        yield _broken(path, 1, error)


def is_dataset(folder: Path) -> bool:
    """Whether `save_to_disk` wrote this folder."""
    try:
        return (folder / _SPLITS).is_file() or all((folder / name).is_file() for name in _STATE)
    except OSError:
        # Not a folder that can be read: listing it tells why.
        return False


def jobs_of_dataset(folder: Path, columns: Columns) -> Iterator[RecordBatches | Skipped]:
    """The jobs of a data set on disk, or of all its splits.

    Raises:
        MissingExtra: pyarrow is missing.
    """
    try:
        if not (folder / _SPLITS).is_file():
            yield from _jobs_of_split(folder, columns)
            return
        names = [str(name) for name in _read(folder / _SPLITS)["splits"]]
    except _BROKEN as error:
        yield _broken(folder, 1, error)
        return
    for split in _parts(folder, names):
        if isinstance(split, Skipped):
            yield split
        else:
            yield from _jobs_of_split(split, columns)
    yield from _beside(folder, {_SPLITS, *names})


def _jobs_of_split(folder: Path, columns: Columns) -> Iterator[RecordBatches | Skipped]:
    try:
        state = _read(folder / "state.json")
        names = [str(file["filename"]) for file in state["_data_files"]]
    except _BROKEN as error:
        yield _broken(folder, 1, error)
        return
    if state.get("_indices_data_files"):
        reason = "its rows are chosen by indices: write it anew with flatten_indices()"
        yield Skipped(shown(folder), reason)
        return
    for file in _parts(folder, names):
        if isinstance(file, Skipped):
            yield file
        else:
            yield from _jobs_of_stream(file, columns)
    yield from _beside(folder, {*_STATE, *names})


def _read(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text("utf-8"))
    if not isinstance(found, dict):
        raise TypeError
    return found


def _parts(folder: Path, names: Sequence[str]) -> Iterator[Path | Skipped]:
    """What a data set says that it is made of, where it lies in the data set's folder itself.

    Elsewhere may be what is the user's own, or the folder again.
    """
    for name in dict.fromkeys(names):
        if name in {"", ".."} or PurePath(name).name != name or "\0" in name:
            yield Skipped(shown(folder), "a part of the data set lies elsewhere, and is not read")
        elif (folder / name).is_symlink():
            yield Skipped(shown(folder / name), "a symbolic link, which is not followed")
        else:
            yield folder / name


def _beside(folder: Path, known: set[str]) -> Iterator[Skipped]:
    """Files and folders that are no part of the data set in their folder."""
    try:
        found = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        yield Skipped(shown(folder), f"cannot be read: {error.strerror}")
        return
    for name in found:
        if name not in known:
            reason = "beside a data set: give it as a path of its own to have it scanned"
            yield Skipped(shown(folder / name), reason)


def _jobs_of_stream(path: Path, columns: Columns) -> Iterator[RecordBatches | Skipped]:
    name = shown(path)
    start = rows = size = 0
    first = 1
    try:
        changed = status(path).st_mtime_ns
        at = -1
        for at, batch in enumerate(_stream(path)):
            batch.validate()
            if columns.of_text(_names(batch.schema)) is None:
                yield Skipped(name, f"no text: {columns.expected()}")
                return
            rows, size = rows + batch.num_rows, size + batch.nbytes
            if size >= BATCH:
                key = f"arrow {name} {start} {at + 1} {rows} {changed}"
                yield RecordBatches(path, start, at + 1, first, columns, key, size)
                start, first, rows, size = at + 1, first + rows, 0, 0
        if rows:
            key = f"arrow {name} {start} {at + 1} {rows} {changed}"
            yield RecordBatches(path, start, at + 1, first, columns, key, size)
    except Unreadable as reason:
        yield Skipped(name, str(reason))
    except _BROKEN as error:
        yield _broken(path, first, error)


def _broken(path: Path, number: int, error: Exception) -> Skipped:
    return Skipped(
        shown(path), f"broken: cannot be read from row {number} ({type(error).__name__})"
    )


def _names(schema: Any) -> list[str]:
    """The columns that hold texts."""
    return [field.name for field in schema if str(_plain(field.type)) in _BYTES_OF]


def _plain(kind: Any) -> Any:
    return getattr(kind, "value_type", kind) if str(kind).startswith("dictionary") else kind


def _as_bytes(batch: Any, names: Sequence[str]) -> Any:
    """Columns of texts as bytes: a text that is not the UTF-8 it should be spoils no other.

    Raises:
        ValueError: the batch is broken. Nobody checked that when it was read.
    """
    import pyarrow

    seen = []
    for name in names:
        column = batch.column(batch.schema.names.index(name))
        column.validate()
        if _plain(column.type) is not column.type:
            column = column.dictionary_decode()
        column = column.view(pyarrow.type_for_alias(_BYTES_OF[str(column.type)]))
        column.validate(full=True)
        seen.append(column)
    return pyarrow.RecordBatch.from_arrays(seen, list(names))


def _text(value: bytes | None) -> str | bytes | None:
    try:
        return value if value is None else value.decode()
    except UnicodeDecodeError:
        return value


def _rows_at_a_time(size: int, rows: int) -> int:
    return max(1, min(_ROWS, _HELD * rows // max(1, size)))


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
