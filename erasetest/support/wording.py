"""Wording that several messages share."""

from __future__ import annotations

from collections.abc import Sequence

MAX_NAMED = 5
"""Number of items that a message names; it counts all."""


def first_of(names: Sequence[str], total: int | None = None) -> str:
    """Return the first names of a list, and the number of the others.

    `total` is the number of all names if `names` has only the first `MAX_NAMED`.
    """
    others = (len(names) if total is None else total) - MAX_NAMED
    more = f" and {others} more" if others > 0 else ""
    return ", ".join(names[:MAX_NAMED]) + more
