"""Optional dependencies."""

from __future__ import annotations

import importlib.util

from erasetest.errors import MissingExtra


def require(package: str, extra: str, purpose: str) -> None:
    """Refuse early what would import a package that is not there.

    Raises:
        MissingExtra: naming the extra that has it.
    """
    if importlib.util.find_spec(package) is None:
        raise MissingExtra(package, extra, purpose)
