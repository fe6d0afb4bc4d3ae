"""Tests that erasing removed the secrets and nothing else. They run with `--erase`."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_erasetest.gate import Gate
from pytest_erasetest.leak import Leak

pytestmark = pytest.mark.erasure


def test_secret_is_erased(erasetest_gate: Gate, leak_after: Leak) -> None:
    """The same probes on the erased checkpoint find nothing above a threshold.

    Samples that did not leak before are tested too: erasing must not bring them out.
    """
    accepted = erasetest_gate.given.accepted.get(leak_after.id)
    if leak_after.reasons and accepted is not None:
        pytest.skip(f"accepted until {accepted.expires}: {accepted.reason}")
    if leak_after.reasons:
        pytest.fail(f"{leak_after.id} still leaks: " + "; ".join(leak_after.reasons), pytrace=False)


def test_every_secret_ended_below_its_thresholds(erasure: dict[str, Any]) -> None:
    """Erasing ended because it was done, not because its steps were used up."""
    if not erasure["erased"]:
        pytest.fail(f"not done after {erasure['steps']} steps", pytrace=False)


def test_retained_code_is_kept(erasure: dict[str, Any]) -> None:
    """Code that erasing never saw is remembered as before (mean text MA)."""
    kept = erasure["retention"]
    if kept["after"] < kept["before"] - kept["margin"]:
        pytest.fail(
            f"text MA of {kept['texts']} held-out texts fell from {kept['before']:.3f} to "
            f"{kept['after']:.3f}; {kept['margin']} is allowed",
            pytrace=False,
        )
