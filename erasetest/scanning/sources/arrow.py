"""Reads columnar data sets: Parquet files and folders that Hugging Face's `save_to_disk` writes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePath
from typing import Any

from erasetest.errors import MissingExtra
from erasetest.scanning.sources.texts import JOB_SIZE, Columns, Text
from erasetest.scanning.text_decoding import Unreadable, status
from erasetest.scanning.walk import Skipped, shown

_MAX_ROWS = 256
_MAX_BYTES = 16 * JOB_SIZE
"""Maximum number of rows, and of bytes of rows of average length, that are in memory at once."""

_BINARY_TYPES = {
    "string": "binary",
    "large_string": "large_binary",
    "string_view": "binary_view",
    "binary": "binary",
    "large_binary": "large_binary",
    "binary_view": "binary_view",
}
"""Arrow types of texts, and the binary type that each is viewed as."""

_BROKEN = (OSError, ValueError, TypeError, LookupError, NotImplementedError, MemoryError)
"""Base classes of pyarrow's errors."""

_SPLITS_FILE = "dataset_dict.json"
_STATE_FILES = ("state.json", "dataset_info.json")
"""Files by which a folder is recognized as a data set with splits, or without."""


@dataclass(frozen=True, slots=True)
class _RowsJob:
    """Rows of a file, numbered from `first`: a row group, or record batches `[start, end)`."""

    path: Path
    start: int
    end: int
    first: int
    columns: Columns
    key: str
    size: int

    @property
    def name(self) -> str:
        """Name of the first row."""
        return f"{shown(self.path)}#{self.first}"

    def texts(self) -> Iterator[Text | Skipped]:
        """Yield the text of each row."""
        number = self.first
        try:
            for batch in self._batches():
                names = self.columns.needed(_names(batch.schema))
                view = _as_bytes(batch, names)
                step = _rows_at_a_time(view.nbytes, view.num_rows)
                for start in range(0, view.num_rows, step):
                    for row in view.slice(start, step).to_pylist():
                        texts = {name: _text(value) for name, value in row.items()}
                        yield self.columns.read(texts, f"{shown(self.path)}#{number}")
                        number += 1
        except _BROKEN as error:
            yield _broken(self.path, number, error)

    def _batches(self) -> Iterator[Any]:
        """Yield record batches with the needed columns."""
        raise NotImplementedError


class RowGroupJob(_RowsJob):
    """A row group of a Parquet file."""

    __slots__ = ()

    def _batches(self) -> Iterator[Any]:
        with _parquet().ParquetFile(self.path) as file:
            names = self.columns.needed(_names(file.schema_arrow))
            group_info = file.metadata.row_group(self.start)
            rows = _rows_at_a_time(group_info.total_byte_size, group_info.num_rows)
            yield from file.iter_batches(rows, row_groups=[self.start], columns=names)


class RecordBatchesJob(_RowsJob):
    """Several record batches of an Arrow stream."""

    __slots__ = ()

    def _batches(self) -> Iterator[Any]:
        return islice(_stream(self.path), self.start, self.end)


def jobs_of_parquet(path: Path, columns: Columns) -> Iterator[RowGroupJob | Skipped]:
    """Yield the jobs of a Parquet file.

    Raises:
        MissingExtra: pyarrow is not installed.
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
                group_info = file.metadata.row_group(group)
                key = f"parquet {name} {group} {group_info.num_rows} {changed}"
                yield RowGroupJob(
                    path, group, group + 1, first, columns, key, group_info.total_byte_size
                )
                first += group_info.num_rows
    except Unreadable as reason:
        yield Skipped(name, str(reason))
    except _BROKEN as error:
        yield _broken(path, 1, error)


def is_dataset(folder: Path) -> bool:
    """Return whether `save_to_disk` wrote this folder."""
    try:
        return (folder / _SPLITS_FILE).is_file() or all(
            (folder / name).is_file() for name in _STATE_FILES
        )
    except OSError:
        # The folder cannot be read; listing it later reports the reason.
        return False


def jobs_of_dataset(folder: Path, columns: Columns) -> Iterator[RecordBatchesJob | Skipped]:
    """Yield the jobs of a data set on disk, or of all its splits.

    Raises:
        MissingExtra: pyarrow is not installed.
    """
    try:
        if not (folder / _SPLITS_FILE).is_file():
            yield from _jobs_of_split(folder, columns)
            return
        names = [str(name) for name in _read(folder / _SPLITS_FILE)["splits"]]
    except _BROKEN as error:
        yield _broken(folder, 1, error)
        return
    for split in _parts(folder, names):
        if isinstance(split, Skipped):
            yield split
        else:
            yield from _jobs_of_split(split, columns)
    yield from _beside(folder, {_SPLITS_FILE, *names})


def _jobs_of_split(folder: Path, columns: Columns) -> Iterator[RecordBatchesJob | Skipped]:
    try:
        state = _read(folder / "state.json")
        names = [str(file["filename"]) for file in state["_data_files"]]
    except _BROKEN as error:
        yield _broken(folder, 1, error)
        return
    if state.get("_indices_data_files"):
        reason = "its rows are selected by indices: save it again after flatten_indices()"
        yield Skipped(shown(folder), reason)
        return
    for file in _parts(folder, names):
        if isinstance(file, Skipped):
            yield file
        else:
            yield from _jobs_of_stream(file, columns)
    yield from _beside(folder, {*_STATE_FILES, *names})


def _read(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text("utf-8"))
    if not isinstance(found, dict):
        raise TypeError
    return found


def _parts(folder: Path, names: Sequence[str]) -> Iterator[Path | Skipped]:
    """Yield the parts that a data set names, if they are in its own folder.

    A name that leads elsewhere could reach private files, or the folder itself again.
    """
    for name in dict.fromkeys(names):
        if name in {"", ".."} or PurePath(name).name != name or "\0" in name:
            yield Skipped(
                shown(folder), "a part of the data set is outside of its folder, and is not read"
            )
        elif (folder / name).is_symlink():
            yield Skipped(shown(folder / name), "a symbolic link, which is not followed")
        else:
            yield folder / name


def _beside(folder: Path, known: set[str]) -> Iterator[Skipped]:
    """Yield files and folders beside a data set that do not belong to it."""
    try:
        found = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        yield Skipped(shown(folder), f"cannot be read: {error.strerror}")
        return
    for name in found:
        if name not in known:
            reason = "beside a data set: give it as a separate path to scan it"
            yield Skipped(shown(folder / name), reason)


def _jobs_of_stream(path: Path, columns: Columns) -> Iterator[RecordBatchesJob | Skipped]:
    name = shown(path)
    start = rows = size = 0
    first = 1
    try:
        changed = status(path).st_mtime_ns
        index = -1
        for index, batch in enumerate(_stream(path)):
            batch.validate()
            if columns.of_text(_names(batch.schema)) is None:
                yield Skipped(name, f"no text: {columns.expected()}")
                return
            rows, size = rows + batch.num_rows, size + batch.nbytes
            if size >= JOB_SIZE:
                key = f"arrow {name} {start} {index + 1} {rows} {changed}"
                yield RecordBatchesJob(path, start, index + 1, first, columns, key, size)
                start, first, rows, size = index + 1, first + rows, 0, 0
        if rows:
            key = f"arrow {name} {start} {index + 1} {rows} {changed}"
            yield RecordBatchesJob(path, start, index + 1, first, columns, key, size)
    except Unreadable as reason:
        yield Skipped(name, str(reason))
    except _BROKEN as error:
        yield _broken(path, first, error)


def _broken(path: Path, number: int, error: Exception) -> Skipped:
    return Skipped(
        shown(path), f"broken: cannot be read from row {number} ({type(error).__name__})"
    )


def _names(schema: Any) -> list[str]:
    """Return the names of the columns that contain texts."""
    return [field.name for field in schema if str(_value_type(field.type)) in _BINARY_TYPES]


def _value_type(data_type: Any) -> Any:
    is_dictionary = str(data_type).startswith("dictionary")
    return getattr(data_type, "value_type", data_type) if is_dictionary else data_type


def _as_bytes(batch: Any, names: Sequence[str]) -> Any:
    """View text columns as bytes, so that one text of invalid UTF-8 does not affect the others.

    Raises:
        ValueError: the batch is broken, which pyarrow does not check when it reads it.
    """
    import pyarrow

    views = []
    for name in names:
        column = batch.column(batch.schema.names.index(name))
        column.validate()
        if _value_type(column.type) is not column.type:
            column = column.dictionary_decode()
        column = column.view(pyarrow.type_for_alias(_BINARY_TYPES[str(column.type)]))
        column.validate(full=True)
        views.append(column)
    return pyarrow.RecordBatch.from_arrays(views, list(names))


def _text(value: bytes | None) -> str | bytes | None:
    try:
        return value if value is None else value.decode()
    except UnicodeDecodeError:
        return value


def _rows_at_a_time(size: int, rows: int) -> int:
    return max(1, min(_MAX_ROWS, _MAX_BYTES * rows // max(1, size)))


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
