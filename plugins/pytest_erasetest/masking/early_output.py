"""What is done before the first `conftest.py` is imported: from here on, output is masked."""

from __future__ import annotations

import functools
import sys
from typing import Any

import pytest

from pytest_erasetest.options import early_values


def mask_output(early_config: pytest.Config) -> None:
    """Mask standard output and error where a CLM is given."""
    clm, manifests = early_values(early_config)
    if clm is not None:
        from pytest_erasetest.inputs import read_samples
        from pytest_erasetest.masking.streams import mask_standard_streams
        from pytest_erasetest.masking.test_reports import LazyRedactor
        from pytest_erasetest.run_state import REDACTOR

        redactor = LazyRedactor(lambda: read_samples(clm, manifests))
        early_config.stash[REDACTOR] = redactor
        mask_standard_streams(redactor.get)
        given = early_config.known_args_namespace
        if getattr(given, "capture", None) == "sys":
            # It lets through what child processes and os.write print; reports have all the rest.
            given.capture = "fd"


def mask_captured(early_config: pytest.Config) -> None:
    """Mask what is captured and shown in no report, where capturing ends.

    What a `conftest.py` prints, say: pytest would write it to the descriptor of the terminal, where
    nothing masks it. Call this once capturing has begun: of two cleanups, the later one runs first.
    """
    from pytest_erasetest.run_state import REDACTOR

    capture: Any = early_config.pluginmanager.getplugin("capturemanager")
    if REDACTOR not in early_config.stash or capture is None:
        return
    stop = capture.stop_global_capturing

    def show_and_stop() -> None:
        _show_captured(capture)
        stop()

    # Pytest's hooks for Ctrl-C and internal errors end capturing before any cleanup.
    capture.stop_global_capturing = show_and_stop
    early_config.add_cleanup(functools.partial(_show_captured, capture))


def _show_captured(capture: Any) -> None:
    if not capture.is_globally_capturing():
        return
    try:
        out, err = capture.read_global_capture()
    except AssertionError:  # it has ended already
        return
    with capture.global_and_fixture_disabled():
        sys.stdout.write(out)
        sys.stderr.write(err)
        sys.stdout.flush()
