"""Results that the processes of one run share: each is made once, by whoever comes first."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from erasetest.support.atomic_files import write_text

_POLL = 0.05


class SharedResults:
    """A folder of JSON results by name, written whole, with a lock for each being made.

    A process that dies while it makes a result gives its lock back, and another one makes it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[str, Any] = {}

    def get(self, name: str) -> Any:
        """A result, or None while nobody has made it."""
        if name not in self._read:
            path = self._path(name)
            if not path.is_file():
                return None
            self._read[name] = json.loads(path.read_text(encoding="utf-8"))
        return self._read[name]

    def put(self, name: str, value: Any) -> None:
        """Keep a result. Values that are not finite stay so: a verdict has to see them."""
        write_text(self._path(name), json.dumps(value))
        self._read[name] = value

    def make(self, wanted: str, make: Callable[[str], Any], others: Sequence[str] = ()) -> Any:
        """The result `wanted`; while another process makes it, make one of `others` meanwhile."""
        while (value := self.get(wanted)) is None:
            if not any(self._try(name, make) for name in (wanted, *others)):
                time.sleep(_POLL)
        return value

    def _try(self, name: str, make: Callable[[str], Any]) -> bool:
        if self.get(name) is not None:
            return False
        lock = FileLock(self.folder / f"{name}.lock")
        try:
            with lock.acquire(timeout=0):
                if self.get(name) is None:
                    self.put(name, make(name))
        except Timeout:
            return False
        return True

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"
