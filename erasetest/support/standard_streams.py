"""Standard streams that are closed or full, or that nobody reads any more: the work goes on."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator

_REPLACEMENTS = (("/dev/null", os.O_RDONLY), ("/dev/full", os.O_WRONLY), ("/dev/null", os.O_WRONLY))
"""What takes the place of a closed standard input, output and error.

`/dev/full`, so that `-o /dev/stdout` fails where there is no standard output.
"""


class Output(io.TextIOWrapper):
    """Standard output that does not stop the work when it cannot be written.

    The first failure is kept, and what is written after it is dropped: the results of a command
    are in its files.
    """

    failure: OSError | None = None

    def write(self, text: str) -> int:
        """Write a text, if that is still possible."""
        with self._noted():
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Hand on what was written, if that is still possible."""
        with self._noted():
            super().flush()

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failure = self.failure or error
            # What waits in the buffer goes there too, now and when the interpreter ends.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)


def prepare() -> None:
    """Open the standard streams that are closed, and let a failing standard output stop nothing.

    A file that is opened while one is closed would get its number, and what a library says on
    standard error would be written into it.
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
    """Why standard output could not be written, if so."""
    with contextlib.suppress(ValueError):
        if sys.stdout is not None:
            sys.stdout.flush()
    return sys.stdout.failure if isinstance(sys.stdout, Output) else None
