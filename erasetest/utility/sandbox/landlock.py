"""The Landlock ruleset: the files that a program can read; no TCP and no signals to others.

The kernel's interface is small: two system calls here and one in `inside/confine.py`, with the same
numbers on all architectures, and two structures. So it is called by ctypes; the package for it on
PyPI has had two releases.
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
"""Rights on files by the ABI version that added them: first 13, then moving files between folders,
truncation, and ioctl on devices."""
_TCP = {4: 0b11}
_SCOPES = {6: 0b11}  # abstract sockets, and signals


@functools.cache
def ruleset(libraries: tuple[str, ...], hidden: tuple[str, ...], *, files: bool) -> int | None:
    """Return a Landlock ruleset as a descriptor that children inherit; None without Landlock.

    It is open until this process ends. It denies TCP and signals to other processes if the kernel
    supports that. With `files`, it also denies all access to files, except reading files of the
    `libraries` that are not in `hidden` folders.
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
    """Yield paths that cover a folder without its hidden subfolders: rules can only allow."""
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
