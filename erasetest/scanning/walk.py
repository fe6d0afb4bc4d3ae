"""Walks folders: yields the files to scan, and what is skipped with the reason."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from erasetest.errors import BadInput
from erasetest.support.sidecars import is_sidecar

SKIPPED_FOLDERS = frozenset({".git", ".hg", ".svn", ".venv", "__pycache__", "node_modules"})
"""Folders without code of the corpus itself. One that is given as a path is scanned."""


class Skipped(NamedTuple):
    """A file, folder or record that was not scanned, or only in part, and the reason."""

    path: str
    reason: str


def walk(
    paths: Sequence[Path],
    is_unit: Callable[[Path], bool] = lambda folder: False,
    written: Collection[Path] = (),
) -> Iterator[Path | Skipped]:
    """Yield the files under the paths, each once and in a fixed order, and what is skipped.

    Args:
        paths: files and folders.
        is_unit: returns whether a folder is a unit (a data set), which is yielded instead of its
            files.
        written: files that the caller writes; these and their hidden sidecars are skipped.

    Raises:
        BadInput: a path does not exist.
    """
    folders = [path for path in paths if _is_folder(path)]
    # Two paths may contain the same file; a single folder does not.
    seen: set[Path] | None = set() if len(paths) > 1 else None
    for path in paths:
        for found in _walk(path, is_unit) if path in folders else [path]:
            if not isinstance(found, Skipped) and _is_written(found, written):
                # Hidden sidecars are not worth a report.
                if not found.name.startswith("."):
                    yield Skipped(shown(found), "written by this command")
                continue
            if seen is not None and not isinstance(found, Skipped):
                resolved = found.resolve()
                if resolved in seen:
                    continue
                seen.add(resolved)
            yield found


def shown(path: Path) -> str:
    """Return a path as text that is safe to write to a file or terminal, whatever its bytes are."""
    return printable(os.fsencode(path.as_posix()).decode(errors="replace"))


def printable(name: str) -> str:
    """Replace line breaks, escape sequences and other unprintable characters of a name."""
    return (
        name
        if name.isprintable()
        else "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in name)
    )


def _is_written(path: Path, written: Collection[Path]) -> bool:
    for own in written:
        if is_sidecar(path, own):
            return True
        if path.name == own.name:
            same = path.parent.resolve() == own.resolve().parent
            if same or path.resolve() == own.resolve():
                return True
    return False


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError as error:
        raise BadInput(
            f"{shown(path)}: cannot be scanned: {error.strerror}: name a file or folder"
        ) from None


def _walk(folder: Path, is_unit: Callable[[Path], bool]) -> Iterator[Path | Skipped]:
    stack = [folder]
    while stack:
        path = stack.pop()
        if is_unit(path):
            yield path
            continue
        try:
            with os.scandir(path) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            yield Skipped(shown(path), f"cannot be read: {error.strerror}")
            continue
        folders = []
        for entry in entries:
            reason = _reason_to_skip(entry)
            if reason is not None:
                yield Skipped(shown(Path(entry.path)), reason)
            elif entry.is_dir():
                folders.append(Path(entry.path))
            else:
                yield Path(entry.path)
        stack += reversed(folders)


def _reason_to_skip(entry: os.DirEntry[str]) -> str | None:
    if entry.is_symlink():
        # Links may form a cycle, or lead out of the corpus to private files.
        return "a symbolic link, which is not followed"
    if entry.name in SKIPPED_FOLDERS and entry.is_dir():
        return "a folder that is never scanned"
    return None
