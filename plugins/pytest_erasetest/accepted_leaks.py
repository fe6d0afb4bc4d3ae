"""The baseline: known leaks that are accepted, each with its id, a reason and an end date."""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from erasetest.errors import ManifestError
from erasetest.support.atomic_files import write_text
from erasetest.support.json_documents import read_document
from erasetest.support.wording import first_of

SCHEMA = "erasetest.leak-baseline/1"
ACCEPT_DAYS = 90
"""Number of days for which `--leak-accept` accepts a leak."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A leak that fails no test until the day after `expires` (ISO date)."""

    reason: str
    expires: str

    def is_valid(self, today: datetime.date) -> bool:
        """Whether it is still accepted."""
        return today <= datetime.date.fromisoformat(self.expires)


@dataclass(frozen=True, slots=True)
class Baseline:
    """The entries of a baseline file by sample id, expired ones included."""

    path: str
    entries: Mapping[str, Accepted]
    today: datetime.date

    @property
    def accepted(self) -> dict[str, Accepted]:
        """The entries that have not expired."""
        return {name: entry for name, entry in self.entries.items() if entry.is_valid(self.today)}

    def warnings(self, ids: Collection[str]) -> list[str]:
        """Return a line on expired entries, and one on entries that match no sample.

        `ids` are those of the samples of the run.
        """
        expired = [
            f"{name} ({entry.expires})"
            for name, entry in self.entries.items()
            if name in ids and not entry.is_valid(self.today)
        ]
        unmatched = [name for name in self.entries if name not in ids]
        return [
            f"warning: baseline {self.path}: {len(names)} entries {what}: {first_of(names)}"
            for what, names in (
                ("have expired and accept nothing", expired),
                ("match no sample of this run", unmatched),
            )
            if names
        ]


def read_baseline(path: str | Path, max_days: int, today: datetime.date) -> Baseline:
    """Return the baseline of a file.

    Args:
        path: the file.
        max_days: how many days after today an entry may end.
        today: the current date.

    Raises:
        ManifestError: the file cannot be read; or an entry lacks an id, a reason or a date, repeats
            an id, or ends more than `max_days` after today.
    """
    entries = read_document(path, SCHEMA, "a baseline").get("accepted")
    if not isinstance(entries, list):
        raise ManifestError(path, None, "'accepted' must be a list")
    accepted: dict[str, Accepted] = {}
    for number, entry in enumerate(entries, 1):
        name, expires, reason = _fields(path, number, entry)
        if name in accepted:
            raise ManifestError(path, None, f"entry {number} repeats the id {name}: keep one")
        if (expires - today).days > max_days:
            latest = today + datetime.timedelta(days=max_days)
            raise ManifestError(
                path,
                None,
                f"entry {number} ({name}) is accepted until {expires}, more than {max_days} days "
                f"ahead: end it on {latest} or before, or raise --leak-baseline-days",
            )
        accepted[name] = Accepted(reason, expires.isoformat())
    return Baseline(str(path), accepted, today)


def _fields(path: str | Path, number: int, entry: Any) -> tuple[str, datetime.date, str]:
    try:
        name, expires, reason = entry["id"], entry["expires"], entry["reason"]
        if isinstance(name, str) and isinstance(reason, str) and reason.strip():
            return name, datetime.date.fromisoformat(expires), reason
    except (KeyError, TypeError, ValueError):
        pass
    raise ManifestError(
        path, None, f"entry {number} needs 'id', 'reason' (not empty) and a date 'expires'"
    )


def write_baseline(
    path: str | Path,
    known: Mapping[str, Accepted],
    leaking: Iterable[str],
    today: datetime.date,
    max_days: int,
) -> int:
    """Write the current leaks to a baseline; known entries keep their reason and date.

    Entries of samples that no longer leak are dropped.

    Args:
        path: the file.
        known: the entries of the file so far.
        leaking: ids of the samples that leak.
        today: the current date.
        max_days: how many days after today an entry may end.

    Returns:
        The number of new entries.
    """
    days = min(ACCEPT_DAYS, max_days)
    expires = (today + datetime.timedelta(days=days)).isoformat()
    fresh = Accepted(f"accepted by --leak-accept on {today.isoformat()}", expires)
    entries = {name: known.get(name, fresh) for name in sorted(leaking)}
    rows = [{"id": name, **asdict(entry)} for name, entry in entries.items()]
    write_text(path, json.dumps({"schema": SCHEMA, "accepted": rows}, indent=1) + "\n")
    return sum(name not in known for name in entries)
