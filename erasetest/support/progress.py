"""Progress of long work: a bar on a terminal, otherwise a line every few seconds."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol, TextIO

_LINE_INTERVAL = 10.0
"""Seconds between two lines without a terminal."""

_RATE_WINDOW = 60.0
"""Seconds over which the rate is averaged. Longer, work that a killed run had already done, or an
earlier phase of another speed, would distort the remaining time.
"""


class Progress(Protocol):
    """Function that long work calls whenever more of it is done. A `Task` is one."""

    def __call__(self, done: int, total: int, /) -> None:
        """Receive the units done and the number of all; a total of 0 means waiting for a process.

        Both count from the start of the work, so no call depends on an earlier one.
        """


class Task:
    """Progress of one piece of long work. Call it with the units done, the total and a note."""

    def __init__(self, display: _Display) -> None:
        self._display = display
        self._done = 0
        self._total: int | None = None

    def __call__(self, done: int, total: int | None, note: str = "") -> None:
        """Show that `done` of `total` units are done.

        A total of 0 means waiting for another process, None that it is unknown.
        """
        self._done, self._total = done, total
        self._display.update(done, total, note)

    def doing(self, note: str) -> None:
        """Show a note on work between two units; the count does not change."""
        self._display.update(self._done, self._total, note)

    def remark(self, text: str) -> None:
        """Print a permanent line."""
        self._display.remark(text)


class _Display(Protocol):
    def update(self, done: int, total: int | None, note: str) -> None:
        """Show the state, as for `Task.__call__`."""

    def remark(self, text: str) -> None:
        """Print a permanent line."""


StartProgress = Callable[[str], contextlib.AbstractContextManager[Task]]
"""Function that starts to show work under a title, as `progress` and `silent` do."""


@contextlib.contextmanager
def silent(_: str) -> Iterator[Task]:
    """Show nothing; a function of the Python API does not write to its caller's terminal."""
    yield Task(_Silent())


@contextlib.contextmanager
def progress(title: str, stream: TextIO | None = None) -> Iterator[Task]:
    """Show the progress of the block, by default on standard error."""
    stream = stream or sys.stderr
    if stream is None:  # standard error was closed before this process started
        yield Task(_Silent())
    elif stream.isatty():
        from erasetest.support.progress_bar import ProgressBar

        with ProgressBar(title, stream) as bar:
            yield Task(bar)
    else:
        lines = _Lines(title, stream)
        yield Task(lines)
        lines.end()


def _pace(done: int, recent: int, total: int, seconds: float) -> str:
    """Return the rate and the remaining time, from `recent` units in the last `seconds`."""
    if not 0 < done < total or recent <= 0 or seconds <= 0:
        return ""
    rate = recent / seconds
    return f"({rate:.3g}/s, {_duration((total - done) / rate)} left)"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class _Silent(_Display):
    def update(self, done: int, total: int | None, note: str) -> None:
        pass

    def remark(self, text: str) -> None:
        pass


class _Lines(_Display):
    def __init__(self, title: str, stream: TextIO) -> None:
        self._title, self._stream = title, stream
        self._started = self._last_line = time.monotonic()
        self._has_written = False
        self._history: deque[tuple[float, int]] = deque()
        """Time and units done, about once per second, within the window of the rate."""

    def update(self, done: int, total: int | None, note: str) -> None:
        now = time.monotonic()
        while len(self._history) > 1 and now - self._history[1][0] > _RATE_WINDOW:
            self._history.popleft()
        if not self._history or now - self._history[-1][0] >= 1:
            self._history.append((now, done))
        # That the process waits is shown at once: nothing else explains why nothing happens.
        if now - self._last_line < _LINE_INTERVAL and not (total == 0 and not self._has_written):
            return
        self._last_line, self._has_written = now, True
        share = f"{done}/{total}" if total else "waiting for another process"
        if total is None:
            share = ""
        start, done_at_start = self._history[0]
        pace = _pace(done, done - done_at_start, total or 0, now - start)
        self._write(" ".join(filter(None, (f"{self._title}: {share}", pace, note))))

    def remark(self, text: str) -> None:
        self._write(text)

    def end(self) -> None:
        if self._has_written:
            self._write(f"{self._title}: done in {time.monotonic() - self._started:.0f} s")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(f"erasetest: {text}\n")
            self._stream.flush()
