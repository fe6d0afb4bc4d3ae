"""Detect inputs and outputs of a run that are the same file, before anything is overwritten."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from erasetest.errors import BadInput
from erasetest.support.atomic_files import is_stream


@dataclass(frozen=True, slots=True)
class Use:
    """A path that a run reads or writes, and the option or argument that names it."""

    option: str
    path: Path
    written: bool
    exclusive: bool = False
    """True for a folder, such as a checkpoint, that no other option may write into."""


def reads(option: str, *paths: str | Path | None) -> list[Use]:
    """Return the uses of an option that reads files; None is an option that was not given."""
    return [Use(option, Path(path), written=False) for path in paths if path is not None]


def writes(option: str, *paths: str | Path | None) -> list[Use]:
    """Return the uses of an option that writes files; None is an option that was not given."""
    return [Use(option, Path(path), written=True) for path in paths if path is not None]


def reads_checkpoint(option: str, name: str | Path | None) -> list[Use]:
    """Return the use of a checkpoint folder; none for a hub id, a URL or a demo CLM."""
    if not name or not Path(name).is_dir():
        return []
    return [Use(option, Path(name), written=False, exclusive=True)]


def writes_folder(option: str, path: str | Path | None) -> list[Use]:
    """Return the use of an option that writes a whole folder; None if it was not given."""
    return [] if path is None else [Use(option, Path(path), written=True, exclusive=True)]


def check_collisions(uses: Iterable[Use]) -> None:
    """Refuse a run that would overwrite one of its own inputs or outputs.

    Paths are compared by the file that they lead to, also through links. Several options may write
    to the same pipe or device.

    Raises:
        BadInput: an output is also an input or another output, or is inside an exclusive folder of
            another option; the message names both options.
    """
    files = [(use, _identity(use.path)) for use in uses if not is_stream(use.path)]
    for (one, first), (other, second) in itertools.combinations(files, 2):
        if one.written or other.written:
            if first & second:
                raise BadInput(_same(one, other))
            for outer, inner in ((one, other), (other, one)):
                if outer.exclusive and _is_inside(inner.path, outer.path):
                    raise BadInput(
                        f"{inner.option} ({inner.path}) is inside the folder of {outer.option} "
                        f"({outer.path}): name a path outside it"
                    )


def _identity(path: Path) -> set[object]:
    """Return the resolved path and, for an existing file, its inode: hard links share it."""
    found: set[object] = {os.path.realpath(path)}
    try:
        stat = path.stat()
    except OSError:
        return found
    return {*found, (stat.st_dev, stat.st_ino)}


def _is_inside(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _same(one: Use, other: Use) -> str:
    if one.option == other.option:
        return f"{one.option} names the same file twice ({other.path}): name different files"
    kind = "folder" if one.path.is_dir() else "file"
    return (
        f"{one.option} ({one.path}) and {other.option} ({other.path}) are the same {kind}: name "
        "another output"
    )
