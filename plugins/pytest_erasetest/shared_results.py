"""Results shared by the processes of one run: each is computed once, by the first to need it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from erasetest.support.atomic_files import write_text

_POLL_INTERVAL = 0.05
"""Seconds between two looks for a result that another process computes."""


class SharedResults:
    """A folder of JSON results by name, written atomically, with a lock per result.

    The operating system releases the lock of a process that dies, and another process computes the
    result.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._cache: dict[str, Any] = {}

    def get(self, name: str) -> Any:
        """Return a result, or None if it is not computed yet."""
        if name not in self._cache:
            path = self._path(name)
            if not path.is_file():
                return None
            self._cache[name] = json.loads(path.read_text(encoding="utf-8"))
        return self._cache[name]

    def put(self, name: str, value: Any) -> None:
        """Save a result. NaN and infinity are preserved: a verdict depends on them."""
        write_text(self._path(name), json.dumps(value))
        self._cache[name] = value

    def get_or_compute(
        self, wanted: str, compute: Callable[[str], Any], others: Sequence[str] = ()
    ) -> Any:
        """Return the result `wanted`, computed if needed.

        While another process computes it, this process computes one of `others` that is missing.
        """
        while (value := self.get(wanted)) is None:
            if not any(self._compute(name, compute) for name in (wanted, *others)):
                time.sleep(_POLL_INTERVAL)
        return value

    def _compute(self, name: str, compute: Callable[[str], Any]) -> bool:
        """Compute and save a result; False if it exists or another process computes it."""
        if self.get(name) is not None:
            return False
        lock = FileLock(self.folder / f"{name}.lock")
        try:
            with lock.acquire(timeout=0):
                if self.get(name) is None:
                    self.put(name, compute(name))
        except Timeout:
            return False
        return True

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"
