"""Inputs and outputs of a run that are the same file, found before anything is overwritten."""

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
    """A path that a run reads or writes, and the option or argument that named it."""

    option: str
    path: Path
    written: bool
    closed: bool = False
    """A folder, such as a checkpoint, that no other option may write into."""


def reads(option: str, *paths: str | Path | None) -> list[Use]:
    """Files that an option reads; None stands for an option that was not given."""
    return [Use(option, Path(path), written=False) for path in paths if path is not None]


def writes(option: str, *paths: str | Path | None) -> list[Use]:
    """Files that an option writes; None stands for an option that was not given."""
    return [Use(option, Path(path), written=True) for path in paths if path is not None]


def reads_checkpoint(option: str, name: str | Path | None) -> list[Use]:
    """The folder of a checkpoint; nothing where the name is a hub id, a URL or a demo CLM."""
    if not name or not Path(name).is_dir():
        return []
    return [Use(option, Path(name), written=False, closed=True)]


def writes_folder(option: str, path: str | Path | None) -> list[Use]:
    """A folder that an option writes as a whole; None where the option was not given."""
    return [] if path is None else [Use(option, Path(path), written=True, closed=True)]


def check_collisions(uses: Iterable[Use]) -> None:
    """Refuse a run that would overwrite one of its own inputs or outputs.

    Paths are the same where they lead to the same file, also through links. Pipes and devices can
    be written to by several options.

    Raises:
        BadInput: an output is also an input or another output, or lies in a folder that belongs to
            another option; the message names both options.
    """
    files = [(use, _identity(use.path)) for use in uses if not is_stream(use.path)]
    for (one, first), (other, second) in itertools.combinations(files, 2):
        if one.written or other.written:
            if first & second:
                raise BadInput(_same(one, other))
            for outer, inner in ((one, other), (other, one)):
                if outer.closed and _is_inside(inner.path, outer.path):
                    raise BadInput(
                        f"{inner.option} ({inner.path}) is inside the folder of {outer.option} "
                        f"({outer.path}): name a place outside it"
                    )


def _identity(path: Path) -> set[object]:
    """The resolved path, and the file that is there, which may have other names."""
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
        return f"{one.option} names the same file twice ({other.path}): name another file"
    kind = "folder" if one.path.is_dir() else "file"
    return (
        f"{one.option} ({one.path}) and {other.option} ({other.path}) are the same {kind}: name "
        "another one to write to"
    )
