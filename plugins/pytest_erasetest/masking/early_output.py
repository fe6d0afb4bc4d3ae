"""Mask output from before the first `conftest.py` is imported."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from pytest_erasetest.inputs import read_samples
from pytest_erasetest.masking.report_objects import LazyRedactor
from pytest_erasetest.masking.streams import mask_standard_streams
from pytest_erasetest.stash import REDACTOR


def mask_output(early_config: pytest.Config, clm: str, manifests: Sequence[str]) -> None:
    """Mask the secrets of these manifests in standard output and error."""
    redactor = LazyRedactor(lambda: read_samples(clm, manifests))
    early_config.stash[REDACTOR] = redactor
    mask_standard_streams(redactor.get)
    given = early_config.known_args_namespace
    if getattr(given, "capture", None) == "sys":
        # `sys` does not capture what child processes and os.write print; `fd` captures all.
        given.capture = "fd"


def mask_captured(early_config: pytest.Config) -> None:
    """Mask captured output that is in no report, when capturing ends.

    An example is what a `conftest.py` prints: pytest would write it to the file descriptor of the
    terminal, unmasked. Call this when capturing has begun, because cleanups run in reverse order.
    """
    capture: Any = early_config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        return
    stop = capture.stop_global_capturing

    def show_and_stop() -> None:
        _show_captured(capture)
        stop()

    # On Ctrl-C and internal errors, hooks of pytest end capturing before any cleanup runs.
    capture.stop_global_capturing = show_and_stop
    early_config.add_cleanup(functools.partial(_show_captured, capture))


def _show_captured(capture: Any) -> None:
    if not capture.is_globally_capturing():
        return
    try:
        out, err = capture.read_global_capture()
    except AssertionError:  # capturing has already ended
        return
    with capture.global_and_fixture_disabled():
        sys.stdout.write(out)
        sys.stderr.write(err)
        sys.stdout.flush()
