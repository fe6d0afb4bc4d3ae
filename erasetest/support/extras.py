"""Check for optional dependencies."""

from __future__ import annotations

import importlib.util

from erasetest.errors import MissingExtra


def require(package: str, extra: str, purpose: str) -> None:
    """Check that an optional package is installed, without importing it.

    Raises:
        MissingExtra: the package is not installed; the message names the extra that installs it.
    """
    if importlib.util.find_spec(package) is None:
        raise MissingExtra(package, extra, purpose)
