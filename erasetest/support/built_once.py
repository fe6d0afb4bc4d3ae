"""Build a folder of the cache once, however many processes need it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from erasetest.errors import BadInput
from erasetest.support.atomic_files import new_directory
from erasetest.support.progress import Progress
from erasetest.support.sidecars import sidecar


def built_once(
    place: Path, build: Callable[[Path], None], progress: Progress | None = None
) -> Path:
    """Return a folder of the cache; build it if it is not there.

    If several processes need it at once, one builds it and the others wait.

    Args:
        place: the folder.
        build: fills a temporary folder, which appears at `place` when it returns.
        progress: called with zeros when this process begins to wait.

    Raises:
        BadInput: the folder cannot be created.
    """
    if place.is_dir():
        return place
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"the cache folder {place.parent} cannot be created ({error.strerror}): "
            "name another with ERASETEST_CACHE"
        ) from None
    lock = FileLock(sidecar(place, "lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if progress is not None:
            progress(0, 0)
        lock.acquire()
    try:
        if not place.is_dir():
            with new_directory(place) as folder:
                build(folder)
    finally:
        lock.release()
    return place
