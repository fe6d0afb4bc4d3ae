"""Fixtures for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of an untrained tiny CLM: Qwen2, or the family of an indirect parameter."""
    import tiny

    family = getattr(request, "param", "qwen2")
    return tiny.save(tiny.untrained(family), tmp_path_factory.mktemp(family))
