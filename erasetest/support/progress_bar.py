"""The progress bar of a terminal. Apart from `progress`, because importing rich takes long."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class ProgressBar:
    """A bar that disappears when the work ends."""

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

    def __enter__(self) -> ProgressBar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, done: int, total: int | None, note: str) -> None:
        """Move the bar; without a total it pulses."""
        self._progress.update(self._task, completed=done, total=total or None, note=note)

    def remark(self, text: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(f"erasetest: {text}", markup=False, highlight=False)


class _Rate(ProgressColumn):
    """Column that shows the rate of a bar."""

    def render(self, task: Task) -> Text:
        """Return units per second; empty while the rate is unknown."""
        return Text(f"{task.speed:.3g}/s" if task.speed else "")
