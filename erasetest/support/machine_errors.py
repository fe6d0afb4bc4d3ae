"""Errors that the machine and its limits cause, in one line each; all others are defects."""

from __future__ import annotations

import contextlib
import errno
import sqlite3

_MEMORY = (
    "memory ran out: give the process more (ulimit -v, the limit of its container), or let it do "
    "less at a time (--clm-batch-tokens, --processes)"
)
_THREADS = "no more processes or threads are allowed: raise the limit (ulimit -u)"

_BY_NUMBER = {
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
    errno.ENFILE: "too many files are open on this machine",
    errno.ENOMEM: _MEMORY,
    errno.EAGAIN: _THREADS,
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota of disk space is used up",
    errno.EFBIG: "a file would be larger than is allowed: raise the limit (ulimit -f)",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "not permitted",
    errno.EIO: "the disk fails (input/output error)",
}
_MEMORY_WORDS = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "failed to map segment",
    "std::bad_alloc",
)


def explain(error: BaseException) -> str | None:
    """What to tell the user of an error that the machine causes; None for any other error."""
    if isinstance(error, MemoryError):
        return _MEMORY
    if isinstance(error, OSError) and error.errno in _BY_NUMBER:
        return f"{_place(error)}{_BY_NUMBER[error.errno]}"
    if isinstance(error, OSError | ImportError | RuntimeError):
        text = str(error).lower()
        if any(words in text for words in _MEMORY_WORDS):
            return _MEMORY
        if "can't start new thread" in text:
            return _THREADS
        if "no usable temporary directory" in text:
            return "there is no folder for temporary files: set TMPDIR to one that can be written"
    if isinstance(error, sqlite3.OperationalError):
        return f"a file of intermediate results cannot be used ({error})"
    return None


def _place(error: OSError) -> str:
    """The file that an error names, with the secrets in its name masked."""
    if not isinstance(error.filename, str):
        return ""
    # Where no more files can be opened, nothing can be imported either.
    with contextlib.suppress(Exception):
        from erasetest.commands.scan_output import masked_name

        return f"{masked_name(error.filename)}: "
    return ""
