"""SIGTERM ends a gate as Ctrl-C does, so that its temporary files are removed."""

from __future__ import annotations

import signal
import threading

import pytest


def end_as_interrupted(config: pytest.Config) -> None:
    """Let SIGTERM interrupt this run, unless another handler is installed."""
    # Python allows signal handlers in the main thread only.
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _interrupt)
        config.add_cleanup(_restore_default)


def _restore_default() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
