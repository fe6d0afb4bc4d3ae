"""The temporary folder of this process; what killed processes left of theirs is removed.

A folder belongs to the process that holds its lock (`flock` on the folder itself), and the kernel
gives the lock back however that process ends. So a folder that can be locked is nobody's.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import threading
from pathlib import Path

_PREFIX = "erasetest-run-"

_making = threading.Lock()
_made: dict[int, Path] = {}
"""The folder of a process, by the process: a fork has none of its own yet."""


def process_folder() -> Path:
    """A folder for this process alone, made at the first call and removed when the process ends.

    Raises:
        OSError: no temporary folder can be made.
    """
    with _making:
        process = os.getpid()
        if process not in _made:
            remove_abandoned(Path(tempfile.gettempdir()))
            _made[process] = _locked_folder()
            atexit.register(_remove_own, process)
        return _made[process]


def remove_abandoned(parent: Path) -> None:
    """Remove the folders of this user in `parent` whose processes have ended."""
    with contextlib.suppress(OSError):
        for path in parent.glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):
                found = path.lstat()
                if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
                    _remove_if_abandoned(path)


def _remove_if_abandoned(path: Path) -> None:
    place = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(place)


def _locked_folder() -> Path:
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        place = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        # Some file systems have no such locks: nobody else can take one there either.
        with contextlib.suppress(OSError):
            fcntl.flock(place, fcntl.LOCK_EX)
        # Another process may have found it before it was locked, and removed it. The descriptor
        # stays open, and with it the lock, as long as this process lives.
        if path.is_dir():
            return path
        os.close(place)


def _remove_own(process: int) -> None:
    if process == os.getpid():
        shutil.rmtree(_made[process], ignore_errors=True)
