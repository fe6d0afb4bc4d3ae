"""The rules of Landlock: which files a program reads, and neither TCP nor signals to others.

The kernel's interface is two system calls here and one in `inside/confine.py`, whose numbers all
architectures share, and two structures; so it is called directly. The package for it on PyPI has
had two releases.
"""

from __future__ import annotations

import ctypes
import functools
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# <linux/landlock.h>
_SYS_CREATE_RULESET, _SYS_ADD_RULE = 444, 445
_CREATE_RULESET_VERSION, _RULE_PATH_BENEATH = 1, 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_FILES = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
"""Rights on files by the version that brought them: 13 at first, then to move a file between
folders, to truncate one, and to send commands to devices."""
_TCP = {4: 0b11}
_SCOPES = {6: 0b11}  # abstract sockets, and signals


@functools.cache
def ruleset(libraries: tuple[str, ...], hidden: tuple[str, ...], *, files: bool) -> int | None:
    """Return a Landlock ruleset, as a descriptor that children inherit.

    It stays open as long as this process. TCP, and signals to other processes, are refused where
    the kernel can. With `files`, so is everything on disk but reading files of the libraries that
    are not in `hidden` folders.

    None where this kernel has no Landlock, or cannot do what is asked.
    """
    with suppress(OSError):
        version = _call(_SYS_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)
        rights = [_known(each, version) for each in (_FILES, _TCP, _SCOPES)]
        rights[0] *= files
        attributes = struct.pack("=QQQ", *rights)
        made = _call(_SYS_CREATE_RULESET, attributes, len(attributes), 0)
        for folder in libraries if files else ():
            _allow(made, _READ_DIR, folder)
            for path in _without(Path(folder), hidden):
                _allow(made, _READ_FILE, path)
        return made
    return None


def _allow(made: int, rights: int, path: str | Path) -> None:
    opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        _call(_SYS_ADD_RULE, made, _RULE_PATH_BENEATH, struct.pack("=Qi", rights, opened), 0)
    finally:
        os.close(opened)


def _without(folder: Path, hidden: tuple[str, ...]) -> Iterator[Path]:
    """Yield paths that hold all of a folder but what is hidden: a rule cannot take away."""
    below = [each for each in hidden if Path(each).is_relative_to(folder)]
    if not below:
        yield folder
    elif str(folder) not in below:
        for child in folder.iterdir():
            if child.exists():  # not a link to nothing
                yield from _without(child, tuple(below))


def _known(rights: dict[int, int], version: int) -> int:
    return sum(bits for since, bits in rights.items() if since <= version)


def _call(number: int, *arguments: int | bytes | None) -> int:
    system_call = ctypes.CDLL(None, use_errno=True).syscall
    system_call.restype = ctypes.c_long
    given = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result = int(system_call(ctypes.c_long(number), *given))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
