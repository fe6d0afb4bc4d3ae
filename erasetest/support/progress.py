"""Progress of long work: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Task as RichTask
from rich.text import Text

_LINE_EVERY = 10.0
"""Seconds between lines where there is no terminal."""

_PACE_OVER = 60.0
"""Seconds that a pace is told over: what was done by a killed run, or in another phase, tells
nothing of it."""


class Task:
    """One piece of long work. Call it with what is done and the whole, and a note."""

    def __init__(self, say: _Say) -> None:
        self._say = say
        self._done = 0
        self._total: int | None = None

    def __call__(self, done: int, total: int | None, note: str = "") -> None:
        """Show that `done` of `total` is done; 0 means waiting, None an unknown whole."""
        self._done, self._total = done, total
        self._say.update(done, total, note)

    def doing(self, note: str) -> None:
        """Show what is done between two of its pieces."""
        self._say.update(self._done, self._total, note)

    def remark(self, text: str) -> None:
        """Tell something for good, on a line of its own."""
        self._say.remark(text)


class _Say(Protocol):
    def update(self, done: int, total: int | None, note: str) -> None:
        """As `Task` is called."""

    def remark(self, text: str) -> None:
        """As `Task` is told."""


@contextlib.contextmanager
def progress(title: str, stream: TextIO | None = None) -> Iterator[Task]:
    """Show how a piece of work goes on, on standard error unless another stream is given."""
    stream = stream or sys.stderr
    if stream is None:  # it was closed before this process began
        yield Task(_Nothing())
    elif stream.isatty():
        with _Bar(title, stream) as bar:
            yield Task(bar)
    else:
        lines = _Lines(title, stream)
        yield Task(lines)
        lines.end()


def _pace(done: int, lately: int, total: int, seconds: float) -> str:
    """How fast it goes, and how long it still takes at that: by what was done in these seconds."""
    if not 0 < done < total or lately <= 0 or seconds <= 0:
        return ""
    rate = lately / seconds
    return f"({rate:.3g}/s, {_duration((total - done) / rate)} left)"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class _Rate(ProgressColumn):
    """How fast a bar moves."""

    def render(self, task: RichTask) -> Text:
        """Pieces a second, once it is known."""
        return Text(f"{task.speed:.3g}/s" if task.speed else "")


class _Nothing(_Say):
    def update(self, done: int, total: int | None, note: str) -> None:
        pass

    def remark(self, text: str) -> None:
        pass


class _Bar(_Say):
    def __init__(self, title: str, stream: TextIO) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(file=stream),
            transient=True,
        )
        self._task = self._progress.add_task(title, total=None, note="")

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, done: int, total: int | None, note: str) -> None:
        self._progress.update(self._task, completed=done, total=total or None, note=note)

    def remark(self, text: str) -> None:
        self._progress.console.print(f"erasetest: {text}", markup=False, highlight=False)


class _Lines(_Say):
    def __init__(self, title: str, stream: TextIO) -> None:
        self._title, self._stream = title, stream
        self._started = self._last = time.monotonic()
        self._shown = False
        self._seen: deque[tuple[float, int]] = deque()

    def update(self, done: int, total: int | None, note: str) -> None:
        now = time.monotonic()
        while len(self._seen) > 1 and now - self._seen[1][0] > _PACE_OVER:
            self._seen.popleft()
        if not self._seen or now - self._seen[-1][0] >= 1:
            self._seen.append((now, done))
        if now - self._last < _LINE_EVERY and not (total == 0 and not self._shown):
            return
        self._last, self._shown = now, True
        share = f"{done}/{total}" if total else "waiting for another process"
        if total is None:
            share = ""
        since, first = self._seen[0]
        pace = _pace(done, done - first, total or 0, now - since)
        self._write(" ".join(filter(None, (f"{self._title}: {share}", pace, note))))

    def remark(self, text: str) -> None:
        self._write(text)

    def end(self) -> None:
        if self._shown:
            self._write(f"{self._title}: done in {time.monotonic() - self._started:.0f} s")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(f"erasetest: {text}\n")
            self._stream.flush()
