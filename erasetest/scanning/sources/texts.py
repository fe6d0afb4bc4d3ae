"""Shared by all readers: texts, jobs, and the columns of data sets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from erasetest.scanning.text_decoding import MAX_FILE_SIZE, Unreadable, decode
from erasetest.scanning.walk import Skipped, printable

JOB_SIZE = 2**20
"""Approximate number of input bytes per job."""

MAX_FILES_PER_JOB = 500

_TEXT_COLUMNS = ("content", "text", "code", "source", "whole_func_string")
_PATH_COLUMNS = ("path", "file_path", "filename", "max_stars_repo_path", "repo_path")
_REPOSITORY_COLUMNS = ("repo_name", "repository_name", "max_stars_repo_name", "repo")

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Text:
    """A text to scan.

    Attributes:
        name: its name in reports and manifests.
        text: its content.
        is_guessed: whether its encoding was guessed.
        notes: changes that were necessary to read it.
    """

    name: str
    text: str = field(repr=False)
    is_guessed: bool = False
    notes: tuple[str, ...] = ()


class Job(Protocol):
    """A part of a corpus that one process reads and scans at once.

    Attributes:
        name: name of its first text, for messages.
        key: identifies the part of the input, and changes when the input changes.
        size: approximate number of input bytes.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def key(self) -> str: ...  # noqa: D102
    @property
    def size(self) -> int: ...  # noqa: D102

    def texts(self) -> Iterator[Text | Skipped]:
        """Yield the texts. What cannot be read is yielded as skipped, and the rest follows."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a data set with the code and its file name; None uses the usual names."""

    text: str | None = None
    path: str | None = None

    def of_text(self, names: Iterable[str]) -> str | None:
        """Return the column with the code, if there is one."""
        return _first([self.text] if self.text else _TEXT_COLUMNS, names)

    def needed(self, names: Iterable[str]) -> list[str]:
        """Return the columns that a record's text and name are read from."""
        names = list(names)
        found = (
            self.of_text(names),
            _first([self.path] if self.path else _PATH_COLUMNS, names),
            None if self.path else _first(_REPOSITORY_COLUMNS, names),
        )
        return [name for name in found if name is not None]

    def read(self, row: Mapping[str, Any], where: str) -> Text | Skipped:
        """Return the text of a record, named `where` if the record contains no name.

        Bytes, which Arrow columns may contain, are decoded like those of a file.
        """
        texts = {name: value for name, value in row.items() if isinstance(value, str | bytes)}
        column = self.of_text(texts)
        if column is None:
            return Skipped(where, f"no text: {self.expected()}")
        name = self._name(row) or where
        text = texts[column]
        return from_string(name, text) if isinstance(text, str) else from_bytes(name, text)

    def expected(self) -> str:
        """Return a message that names the expected columns."""
        names = [self.text] if self.text else _TEXT_COLUMNS
        return f"expected a column {' or '.join(names)}"

    def _name(self, row: Mapping[str, Any]) -> str | None:
        path = _first([self.path] if self.path else _PATH_COLUMNS, row)
        if path is None or not isinstance(row[path], str):
            return None
        if self.path:
            return printable(row[path])
        repository = _first(_REPOSITORY_COLUMNS, row)
        parts = [row[repository]] if repository and isinstance(row[repository], str) else []
        return printable("/".join([*parts, row[path]]))


def _first(wanted: Iterable[str], names: Iterable[str]) -> str | None:
    known = set(names)
    return next((name for name in wanted if name in known), None)


def from_bytes(name: str, data: bytes) -> Text | Skipped:
    """Return the text of a file."""
    if len(data) > MAX_FILE_SIZE:
        return too_large(name)
    try:
        found = decode(data)
    except Unreadable as reason:
        return Skipped(name, str(reason))
    return Text(name, found.text, found.is_guessed)


def from_string(name: str, text: str) -> Text | Skipped:
    """Return the text of a record."""
    if len(text) > MAX_FILE_SIZE:
        return too_large(name)
    if "\0" in text:
        return Skipped(name, "binary")
    if _SURROGATE.search(text):
        # Lone surrogates have no UTF-8 encoding, so a manifest cannot contain them.
        note = "contains lone surrogates: each was read as U+FFFD"
        return Text(name, _SURROGATE.sub("\ufffd", text), notes=(note,))
    return Text(name, text)


def too_large(name: str) -> Skipped:
    """Return the entry of a text that is too large to be scanned."""
    return Skipped(name, f"larger than {MAX_FILE_SIZE // 2**20} MiB")
