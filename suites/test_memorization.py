"""Tests of what the CLM remembers of the secrets of the manifests."""

from __future__ import annotations

import pytest
from pytest_erasetest.fixtures import fail_leak
from pytest_erasetest.leak import Leak


def test_secret_is_not_memorized(request: pytest.FixtureRequest, leak: Leak) -> None:
    """No measure of the sample's worst secret is above what never-seen secrets stay under."""
    fail_leak(request, leak, leak.memorized)


def test_secret_is_not_extractable(request: pytest.FixtureRequest, leak: Leak) -> None:
    """Greedy decoding from the code before it does not write any secret of the sample."""
    fail_leak(request, leak, leak.extracted)
