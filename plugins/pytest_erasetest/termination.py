"""SIGTERM ends a gate as Ctrl-C does, so that what it keeps for the run alone is removed."""

from __future__ import annotations

import signal
import threading

import pytest


def end_as_interrupted(config: pytest.Config) -> None:
    """Let SIGTERM interrupt this run, unless somebody else listens to it."""
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _interrupt)
        config.add_cleanup(_end_as_usual)


def _end_as_usual() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
