"""What changed against the base, the CLM before this training: from the rows of a report."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from erasetest.support.wording import first_of

Change = Literal["new", "before", "gone"]
"""`new` leaks and did not leak from the base, `before` leaks from both, `gone` from the base only.
"""

CHANGES: tuple[Change, ...] = ("new", "before", "gone")

_SECRET = re.compile(r"secret \d+ of \d+ ")
"""The beginning of a reason, which names the secret by its number."""

_WORSE = (" samples extract it ", "greedy decoding extracts it")
"""Parts of reasons that are worse than a measure above its threshold, the worst last."""


def change_of(row: Mapping[str, Any], base: Mapping[str, Any] | None) -> Change | None:
    """Return what changed for a sample; None if nothing did, or if it cannot be said.

    A leak was there before only if each secret that leaks is known to leak from the base, and as
    badly: one that is extracted now was extracted then. If the base is inconclusive, the leak is
    new.

    Args:
        row: `verdict` and `reasons` on a CLM.
        base: the same on the base; None if there is no base.
    """
    if base is None:
        return None
    if row["verdict"] == "leak":
        now, then = _leaking_secrets(row), _leaking_secrets(base)
        as_bad = all(then.get(secret, -1) >= badness for secret, badness in now.items())
        return "before" if now and as_bad else "new"
    return "gone" if row["verdict"] == "pass" and base["verdict"] == "leak" else None


def _leaking_secrets(row: Mapping[str, Any]) -> dict[str, int]:
    """Return how badly each secret leaks; none if any reason names no secret."""
    if row["verdict"] != "leak":
        return {}
    found: dict[str, int] = {}
    for reason in row.get("reasons", ()):
        match = _SECRET.match(reason)
        if match is None:
            return {}
        badness = max((n for n, part in enumerate(_WORSE, 1) if part in reason), default=0)
        found[match.group()] = max(badness, found.get(match.group(), 0))
    return found


def was_there_before(row: Mapping[str, Any]) -> bool:
    """Return whether a row of a report is of a leak that the base has too."""
    return change_of(row, row.get("base")) == "before"


def is_still_there(row: Mapping[str, Any]) -> bool:
    """Return whether a leak that was there before is all that leaks from the erased CLM too."""
    after = row["after"]
    return was_there_before(row) and after is not None and change_of(after, row["base"]) == "before"


def new_only(base: Mapping[str, Any] | None) -> bool:
    """Return whether only new leaks count, by the entry of a report about its base."""
    return base is not None and base.get("new_only") is True


def excused(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the rows of a report whose leaks do not count, because the base has them too."""
    if not new_only(document.get("base")):
        return []
    return [row for row in document["samples"] if "accepted" not in row and was_there_before(row)]


def base_lines(base: Mapping[str, Any] | None, samples: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return lines about what changed; none without a base.

    Args:
        base: the entry of a report about its base.
        samples: the rows of the report.
    """
    if base is None:
        return []
    by_change: dict[Change, list[str]] = {
        change: [row["id"] for row in samples if row.get("change") == change] for change in CHANGES
    }
    counts = ", ".join(f"{len(by_change[change])} {change}" for change in CHANGES)
    counted = "; only new leaks count" if new_only(base) else ""
    unclear = [
        row["id"]
        for row in samples
        if row.get("change") == "new" and row["base"]["verdict"] == "inconclusive"
    ]
    return [
        f"against base {base.get('name')}: {counts}{counted}",
        *_named("gone", by_change["gone"]),
        *_named("new because the base is inconclusive", unclear),
    ]


def _named(title: str, ids: Iterable[str]) -> list[str]:
    names = list(ids)
    return [f"{title}: {first_of(names)}"] if names else []
