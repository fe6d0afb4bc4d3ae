"""The temporary folder of this process, and removal of the folders of killed processes.

Each process holds a lock on its folder (`flock` on the folder itself). The kernel releases the lock
however the process ends, so a folder that can be locked is abandoned.
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

_lock = threading.Lock()
_folders: dict[int, Path] = {}
"""Temporary folder by process id: a forked process must not use its parent's folder."""


def process_folder() -> Path:
    """Return the folder of this process, created on the first call and removed at exit.

    Raises:
        OSError: no temporary folder can be created.
    """
    with _lock:
        process = os.getpid()
        if process not in _folders:
            remove_abandoned(Path(tempfile.gettempdir()))
            _folders[process] = _locked_folder()
            atexit.register(_remove_own, process)
        return _folders[process]


def remove_abandoned(parent: Path) -> None:
    """Remove this user's folders in `parent` whose processes have ended."""
    with contextlib.suppress(OSError):
        for path in parent.glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):
                found = path.lstat()
                if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
                    _remove_if_abandoned(path)


def _remove_if_abandoned(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(folder)


def _locked_folder() -> Path:
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        # Until it is locked, another process may take the folder for abandoned and remove it.
        try:
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        # File systems without such locks are safe as well: no process can lock the folder there.
        with contextlib.suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX)
        # The descriptor stays open, because closing it would release the lock.
        if path.is_dir():
            return path
        os.close(folder)


def _remove_own(process: int) -> None:
    if process == os.getpid():
        shutil.rmtree(_folders[process], ignore_errors=True)
