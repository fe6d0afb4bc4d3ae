"""Known leaks that somebody accepted: opaque ids, each with a reason and a date that it ends at."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from erasetest.errors import ManifestError
from erasetest.files import write_text

SCHEMA = "erasetest.leak-baseline/1"
DAYS = 90
"""How long `--leak-accept` accepts a leak for."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A leak that fails no test until the day after `expires` (ISO date)."""

    reason: str
    expires: str

    def holds(self, today: datetime.date) -> bool:
        """Whether it is still accepted."""
        return today <= datetime.date.fromisoformat(self.expires)


def read_baseline(path: str | Path) -> dict[str, Accepted]:
    """The accepted leaks by sample id.

    Raises:
        ManifestError: the file cannot be read or an entry lacks an id, a reason or a date.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ManifestError(path, None, f"cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise ManifestError(path, None, "is not JSON") from None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise ManifestError(path, None, f"is no baseline: expected schema {SCHEMA!r}")
    entries = document.get("accepted")
    if not isinstance(entries, list):
        raise ManifestError(path, None, "'accepted' must be a list")
    accepted: dict[str, Accepted] = {}
    for number, entry in enumerate(entries, 1):
        try:
            datetime.date.fromisoformat(entry["expires"])
            accepted[str(entry["id"])] = Accepted(str(entry["reason"]), entry["expires"])
        except (KeyError, TypeError, ValueError):
            raise ManifestError(
                path, None, f"entry {number} needs 'id', 'reason' and a date 'expires'"
            ) from None
    return accepted


def write_baseline(
    path: str | Path, known: Mapping[str, Accepted], leaking: Iterable[str], today: datetime.date
) -> int:
    """Write what leaks now; entries that are known keep their reason and date.

    Leaks that are gone leave the file. Returns how many entries are new.
    """
    expires = (today + datetime.timedelta(days=DAYS)).isoformat()
    fresh = Accepted(f"accepted by --leak-accept on {today.isoformat()}", expires)
    entries = {name: known.get(name, fresh) for name in sorted(leaking)}
    rows = [{"id": name, **asdict(entry)} for name, entry in entries.items()]
    write_text(path, json.dumps({"schema": SCHEMA, "accepted": rows}, indent=1) + "\n")
    return sum(name not in known for name in entries)
