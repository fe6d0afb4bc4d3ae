"""Which files are scanned, and why the others are not."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from erasetest.errors import BadInput

SKIPPED_FOLDERS = frozenset({".git", ".hg", ".svn", ".venv", "__pycache__", "node_modules"})
"""Folders that hold no code of the corpus itself. Named as a path of its own, one is scanned."""


_COMPANIONS = (".erasetest-", ".lock", ".measures.jsonl", ".samples.jsonl", ".scan", ".store")
"""What the names of files that stand beside an output, while it is made, go on with."""


class Skipped(NamedTuple):
    """A file or folder that was not scanned, or not wholly, and the reason."""

    path: str
    reason: str


def walk(
    paths: Sequence[Path],
    is_whole: Callable[[Path], bool] = lambda folder: False,
    written: Collection[Path] = (),
) -> Iterator[Path | Skipped]:
    """The files under the paths, each once and in a fixed order, and what is left out.

    Args:
        paths: files and folders.
        is_whole: says of a folder that it is one thing, which is given instead of its files.
        written: what the one who asks writes itself, and hidden files beside that; left out.

    Raises:
        BadInput: a path does not exist.
    """
    folders = [path for path in paths if _is_folder(path)]
    # Files that are given twice, or by two of the paths; a single folder holds none twice.
    seen: set[Path] | None = set() if len(paths) > 1 else None
    for path in paths:
        for found in _walk(path, is_whole) if path in folders else [path]:
            if not isinstance(found, Skipped) and _is_written(found, written):
                # Of what is hidden beside it nobody needs to know.
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
    """A path as text that can be written to a file or terminal, whatever its name is made of."""
    return printable(os.fsencode(path.as_posix()).decode(errors="replace"))


def printable(name: str) -> str:
    """A name without line breaks, colours and the like."""
    return (
        name
        if name.isprintable()
        else "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in name)
    )


def _is_written(path: Path, written: Collection[Path]) -> bool:
    for own in written:
        hidden = path.name.removeprefix(f".{own.name}")
        if path.name == own.name or (hidden != path.name and hidden.startswith(_COMPANIONS)):
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


def _walk(folder: Path, is_whole: Callable[[Path], bool]) -> Iterator[Path | Skipped]:
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        if is_whole(path):
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
        waiting += reversed(folders)


def _reason_to_skip(entry: os.DirEntry[str]) -> str | None:
    if entry.is_symlink():
        # Links may lead round in a circle, or out of the corpus into what is the user's own.
        return "a symbolic link, which is not followed"
    if entry.name in SKIPPED_FOLDERS and entry.is_dir():
        return "a folder that is never scanned"
    return None
