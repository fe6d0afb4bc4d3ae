"""One-line explanations of errors caused by the machine and its limits; others are defects."""

from __future__ import annotations

import contextlib
import errno
import sqlite3

_MEMORY = (
    "out of memory: raise the limit of the process (ulimit -v, its container), or reduce "
    "--clm-batch-tokens or --processes"
)
_THREADS = "the limit on processes and threads is reached: raise it (ulimit -u)"

_BY_NUMBER = {
    errno.EMFILE: "too many open files: raise the limit (ulimit -n)",
    errno.ENFILE: "too many open files on this machine",
    errno.ENOMEM: _MEMORY,
    errno.EAGAIN: _THREADS,
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is exceeded",
    errno.EFBIG: "a file exceeds the allowed size: raise the limit (ulimit -f)",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "not permitted",
    errno.EIO: "input/output error: the disk may be failing",
}
_MEMORY_WORDS = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "failed to map segment",
    "std::bad_alloc",
)


def explain(error: BaseException) -> str | None:
    """Return a message for an error that the machine causes; None for any other error."""
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
            return "there is no folder for temporary files: set TMPDIR to a writable one"
    if isinstance(error, sqlite3.OperationalError):
        return f"a file of intermediate results cannot be used ({error})"
    return None


def _place(error: OSError) -> str:
    """Return the file name that an error carries, with secrets in it masked, and a colon."""
    if not isinstance(error.filename, str):
        return ""
    # If no more files can be opened, the import fails too.
    with contextlib.suppress(Exception):
        from erasetest.commands.scan_output import masked_name

        return f"{masked_name(error.filename)}: "
    return ""
