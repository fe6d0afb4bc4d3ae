"""What readers of every kind share: texts, jobs, and which column of a data set holds the code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from erasetest.scanning.text_decoding import LARGEST_FILE, Unreadable, decode
from erasetest.scanning.walk import Skipped, printable

BATCH = 2**20
"""Bytes of input of a job, about."""

MOST_FILES = 500
"""In one job."""

_TEXT_COLUMNS = ("content", "text", "code", "source", "whole_func_string")
_PATH_COLUMNS = ("path", "file_path", "filename", "max_stars_repo_path", "repo_path")
_REPOSITORY_COLUMNS = ("repo_name", "repository_name", "max_stars_repo_name", "repo")

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Text:
    """A text to be scanned.

    Attributes:
        name: as reports and manifests give it.
        text: what it holds.
        is_guessed: whether nothing told its encoding.
        notes: what was changed to read it.
    """

    name: str
    text: str = field(repr=False)
    is_guessed: bool = False
    notes: tuple[str, ...] = ()


class Job(Protocol):
    """A part of a corpus that one process reads and scans at a time.

    Attributes:
        name: of the first text, for people.
        key: which part of which input it is; another one where the input has changed.
        size: bytes of input, about.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def key(self) -> str: ...  # noqa: D102
    @property
    def size(self) -> int: ...  # noqa: D102

    def texts(self) -> Iterator[Text | Skipped]:
        """Read them. What cannot be read is told, and never ends the rest."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a data set hold the code and the name of its file; None: the usual ones."""

    text: str | None = None
    path: str | None = None

    def of_text(self, names: Iterable[str]) -> str | None:
        """The column of the code, if there is one."""
        return _first([self.text] if self.text else _TEXT_COLUMNS, names)

    def needed(self, names: Iterable[str]) -> list[str]:
        """The columns that a record's text and name are made of."""
        names = list(names)
        found = (
            self.of_text(names),
            _first([self.path] if self.path else _PATH_COLUMNS, names),
            None if self.path else _first(_REPOSITORY_COLUMNS, names),
        )
        return [name for name in found if name is not None]

    def read(self, row: Mapping[str, Any], where: str) -> Text | Skipped:
        """The text of a record, which is at a place `where` if it has no name of its own.

        Bytes, which JSON has not, are decoded as those of a file.
        """
        texts = {name: value for name, value in row.items() if isinstance(value, str | bytes)}
        column = self.of_text(texts)
        if column is None:
            return Skipped(where, f"no text: {self.expected()}")
        name = self._name(row) or where
        text = texts[column]
        return from_string(name, text) if isinstance(text, str) else from_bytes(name, text)

    def expected(self) -> str:
        """What a data set must have."""
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
    """The text of a file."""
    if len(data) > LARGEST_FILE:
        return too_large(name)
    try:
        found = decode(data)
    except Unreadable as reason:
        return Skipped(name, str(reason))
    return Text(name, found.text, found.is_guessed)


def from_string(name: str, text: str) -> Text | Skipped:
    """The text of a record."""
    if len(text) > LARGEST_FILE:
        return too_large(name)
    if "\0" in text:
        return Skipped(name, "binary")
    if _SURROGATE.search(text):
        # They have no UTF-8: no manifest could hold them.
        note = "lone surrogates stand in it: each was read as U+FFFD"
        return Text(name, _SURROGATE.sub("\ufffd", text), notes=(note,))
    return Text(name, text)


def too_large(name: str) -> Skipped:
    """Larger than what is scanned."""
    return Skipped(name, f"larger than {LARGEST_FILE // 2**20} MiB")
