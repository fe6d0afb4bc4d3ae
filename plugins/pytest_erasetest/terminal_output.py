"""Progress bars on a terminal that pytest captures and writes lines of dots to."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, TextIO, cast

import pytest

from erasetest.support.progress import StartProgress, Task, progress


def progress_display(config: pytest.Config) -> StartProgress:
    """Return a function that shows the progress of work under a title."""

    @contextmanager
    def show(title: str) -> Generator[Task]:
        with (
            _capture_suspended(config),
            progress(title, cast("TextIO", _FreshLine(config))) as task,
        ):
            yield task

    return show


@contextmanager
def _capture_suspended(config: pytest.Config) -> Generator[None]:
    """Let what is written in the block reach the terminal."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        yield
        return
    with capture.global_and_fixture_disabled():
        yield


class _FreshLine:
    """Standard error; the first text starts a new line, not in pytest's line of dots."""

    def __init__(self, config: pytest.Config) -> None:
        self._terminal = config.pluginmanager.getplugin("terminalreporter")

    def write(self, text: str) -> int:
        """Write a text, the first one on a new line."""
        if self._terminal is not None:
            self._terminal.ensure_newline()
            self._terminal.flush()
            self._terminal = None
        return sys.stderr.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)
