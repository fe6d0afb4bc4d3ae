"""Tests of what the CLM memorized of the secrets in the manifests."""

from __future__ import annotations

from pytest_erasetest.leak import Leak, fail_if_leaking


def test_secret_is_not_memorized(leak: Leak) -> None:
    """No measure of the sample's worst secret is above its threshold."""
    fail_if_leaking(leak, leak.memorized)


def test_secret_is_not_extractable(leak: Leak) -> None:
    """Greedy decoding from the preceding code writes no secret of the sample."""
    fail_if_leaking(leak, leak.extracted)
