"""Let work continue when a standard stream is closed or full, or its reader has ended."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator

_REPLACEMENTS = (("/dev/null", os.O_RDONLY), ("/dev/full", os.O_WRONLY), ("/dev/null", os.O_WRONLY))
"""Replacements of a closed standard input, output and error.

Standard output becomes `/dev/full`, so that `-o /dev/stdout` fails if there is none.
"""


class Output(io.TextIOWrapper):
    """Standard output whose write errors do not stop the work.

    The first error is stored and all later output is dropped: the results of a command are in its
    files.
    """

    failure: OSError | None = None

    def write(self, text: str) -> int:
        """Write a text; after an error, drop it."""
        with self._store_failure():
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the buffer; after an error, drop it."""
        with self._store_failure():
            super().flush()

    @contextlib.contextmanager
    def _store_failure(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failure = self.failure or error
            # So that flushing the rest of the buffer, also at exit, does not fail again.
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)


def prepare() -> None:
    """Open closed standard streams, and make standard output tolerate errors.

    The next file that is opened would get the number of a closed stream, and libraries that write
    to standard error would write into that file.
    """
    for number, (path, flags) in enumerate(_REPLACEMENTS):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(path, flags)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    out = sys.stdout
    if type(out) is io.TextIOWrapper and out.buffer.fileno() == 1:
        sys.stdout = Output(out.buffer, out.encoding, out.errors, line_buffering=out.line_buffering)


def output_failure() -> OSError | None:
    """Return the first error of standard output, or None."""
    with contextlib.suppress(ValueError):
        if sys.stdout is not None:
            sys.stdout.flush()
    return sys.stdout.failure if isinstance(sys.stdout, Output) else None
