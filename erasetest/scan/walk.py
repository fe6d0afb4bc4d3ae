"""Which files are scanned, and why the others are not."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from erasetest.errors import BadInput

SKIPPED_FOLDERS = frozenset({".git", ".hg", ".svn", ".venv", "__pycache__", "node_modules"})
"""Folders that hold no code of the corpus itself. Named as a path of its own, one is scanned."""


class Skipped(NamedTuple):
    """A file or folder that was not scanned, or not wholly, and the reason."""

    path: str
    reason: str


def list_files(paths: Sequence[Path]) -> tuple[list[Path], list[Skipped]]:
    """The files under the paths, each once and in a fixed order, and what was left out.

    Raises:
        BadInput: a path does not exist.
    """
    files: dict[Path, Path] = {}
    skipped: list[Skipped] = []
    for path in paths:
        for file in _walk(path, skipped) if _is_folder(path) else [path]:
            files.setdefault(file.resolve(), file)
    return list(files.values()), skipped


def shown(path: Path) -> str:
    """A path as text that can be written to a file, whatever bytes its name is made of."""
    return os.fsencode(path.as_posix()).decode(errors="replace")


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError as error:
        raise BadInput(
            f"{shown(path)}: cannot be scanned: {error.strerror}: name a file or folder"
        ) from None


def _walk(folder: Path, skipped: list[Skipped]) -> Iterator[Path]:
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        try:
            with os.scandir(path) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            skipped.append(Skipped(shown(path), f"cannot be read: {error.strerror}"))
            continue
        for entry in entries:
            reason = _reason_to_skip(entry)
            if reason is not None:
                skipped.append(Skipped(shown(Path(entry.path)), reason))
            elif not entry.is_dir():
                yield Path(entry.path)
        waiting += [
            Path(entry.path)
            for entry in reversed(entries)
            if _reason_to_skip(entry) is None and entry.is_dir()
        ]


def _reason_to_skip(entry: os.DirEntry[str]) -> str | None:
    if entry.is_symlink():
        # Links may lead round in a circle, or out of the corpus into what is the user's own.
        return "a symbolic link, which is not followed"
    if entry.name in SKIPPED_FOLDERS and entry.is_dir():
        return "a folder that is never scanned"
    return None
