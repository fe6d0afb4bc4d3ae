"""Tests that erasing removed the secrets and nothing else. They run with `--erase`."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_erasetest.leak import Leak, fail_if_leaking

pytestmark = pytest.mark.erasure


def test_secret_is_erased(leak_after: Leak) -> None:
    """The same probes on the erased checkpoint find nothing above a threshold.

    Samples that did not leak before are tested too: erasing must not make them leak.
    """
    fail_if_leaking(leak_after, leak_after.reasons, "still leaks")


def test_every_secret_ended_below_its_thresholds(erasure: dict[str, Any]) -> None:
    """Erasing stopped because every secret was erased, not at the maximum number of steps."""
    if not erasure["erased"]:
        pytest.fail(f"not erased after {erasure['steps']} steps", pytrace=False)


def test_retained_code_is_kept(erasure: dict[str, Any]) -> None:
    """Held-out retained code is predicted as well as before (mean text MA)."""
    kept = erasure["retention"]
    if kept["after"] < kept["before"] - kept["margin"]:
        pytest.fail(
            f"text MA of {kept['texts']} held-out texts fell from {kept['before']:.3f} to "
            f"{kept['after']:.3f}; a drop of {kept['margin']} is allowed",
            pytrace=False,
        )
