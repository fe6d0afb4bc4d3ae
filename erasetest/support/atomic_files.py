"""Atomic writes and checks before them, the cache folder, and the key of sample ids."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from erasetest.errors import BadInput
from erasetest.support.sidecars import remove_temporary_sidecars, sidecar, temporary_prefix


def cache_dir() -> Path:
    """Return the folder of rebuildable files: `$ERASETEST_CACHE`, else the user's cache folder."""
    given = os.environ.get("ERASETEST_CACHE")
    return Path(given) if given else Path(platformdirs.user_cache_dir("erasetest"))


def write_text(path: str | Path, text: str) -> None:
    """Write a file atomically: to a temporary file beside it, which is then renamed.

    If the path is a link, its target is replaced. A pipe or device is written to directly.

    Raises:
        BadInput: the folder is missing, read-only or full; an existing file is unchanged.
    """
    with writing(path) as write:
        write(text)


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[Callable[[str], object]]:
    """Write a file atomically in pieces: it appears if the block ends without an error.

    Yields:
        A function that writes text.

    Raises:
        BadInput: as `write_text`.
    """
    path = Path(path)
    with _named_os_errors("write", path):
        if is_stream(path):
            with path.open("w", encoding="utf-8", newline="\n") as stream:
                yield stream.write
            return
        path = path.resolve()
        handle, temporary = tempfile.mkstemp(prefix=temporary_prefix(path), dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                yield file.write
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise


def check_writable(path: str | Path) -> None:
    """Refuse a file that `write_text` could not write; call it before hours of work.

    Raises:
        BadInput: the path is a folder, or no file can be created in its folder.
    """
    path = Path(path)
    if str(path) == "-":
        raise BadInput("'-' is not a file to write to: name a file, or /dev/stdout")
    if path.is_dir():
        raise BadInput(f"{path}: is a folder: name a file")
    if is_stream(path):
        return
    with _named_os_errors("write", path):
        parent = path.resolve().parent
        if not parent.is_dir():
            raise BadInput(f"{path}: its folder does not exist: create it first")
        # Tested by writing: root has all permissions, also in /proc or on a read-only disk.
        handle, temporary = tempfile.mkstemp(prefix=temporary_prefix(path), dir=parent)
        os.close(handle)
        os.unlink(temporary)


@contextlib.contextmanager
def new_directory(path: str | Path) -> Iterator[Path]:
    """Create a folder atomically: it appears at `path` if the block ends without an error.

    An empty folder at `path` is replaced.

    Yields:
        The temporary folder to fill.

    Raises:
        BadInput: as `check_new_directory`, or the folder cannot be written.
    """
    path = Path(path)
    check_new_directory(path)
    with _named_os_errors("write", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=temporary_prefix(path), dir=path.parent))
        try:
            temporary.chmod(0o777 & ~_umask())
            yield temporary
            os.replace(temporary, path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def check_new_directory(path: str | Path) -> None:
    """Refuse a target that `new_directory` would refuse; call it before hours of work.

    Raises:
        BadInput: `path` is a file, a link, a folder that is not empty or cannot be replaced, or it
            cannot be created.
    """
    path = Path(path)
    with _named_os_errors("write", path):
        if path.is_symlink():
            raise BadInput(f"{path}: is a link: name the folder itself")
        if path.is_mount() or path.resolve() == Path.cwd():
            raise BadInput(
                f"{path}: a mounted disk and the current folder cannot be replaced: name a folder "
                "inside it"
            )
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise BadInput(f"{path}: exists already: name a folder that is new or empty")
        parent = path.absolute().parent
        while not parent.exists():
            parent = parent.parent
        # Tested by writing, as in `check_writable`.
        if parent.is_dir():
            Path(tempfile.mkdtemp(prefix=temporary_prefix(path), dir=parent)).rmdir()
            return
    raise BadInput(f"{path}: cannot be created: {parent} is not a writable folder")


@contextlib.contextmanager
def reserved(path: str | Path) -> Iterator[None]:
    """Lock a path against other runs during the block, and remove what killed runs left.

    Raises:
        BadInput: another run holds the lock.
    """
    # Resolved, so that one run at a time writes a file, by whatever link it is named.
    path = Path(path).resolve()
    lock_path = sidecar(path, "lock")
    with _named_os_errors("write", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(lock_path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise BadInput(f"{path.name}: another run is writing it: name another output") from None
    try:
        remove_temporary_sidecars(path)
        yield
    finally:
        lock_path.unlink(missing_ok=True)
        lock.release()


def check_disk_space(path: str | Path, needed: int) -> None:
    """Refuse a target on a disk with fewer than `needed` free bytes; call it before hours of work.

    Raises:
        BadInput: the disk is too full; the message gives both sizes.
    """
    parent = Path(path).absolute().parent
    while not parent.exists():
        parent = parent.parent
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise BadInput(
            f"{path}: needs {needed / 1e6:,.0f} MB, but its disk has {free / 1e6:,.0f} MB free: "
            "free some space, or name a path on another disk"
        )


def id_key() -> bytes:
    """Return the key of the hash that names samples without an id.

    It is `$ERASETEST_ID_KEY`, which gives the same ids in every CI run, else a random key in the
    user's data folder. Without the key nobody can confirm a guessed secret from an id.
    """
    given = os.environ.get("ERASETEST_ID_KEY")
    if given:
        return given.encode()
    path = Path(platformdirs.user_data_dir("erasetest")) / "id.key"
    with _named_os_errors("store the key of sample ids in", path, "set ERASETEST_ID_KEY instead"):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=".id.", dir=path.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_hex(32).encode())
            # Not rename: of two processes that start together, the first one's key must stay.
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
            os.unlink(temporary)
        return path.read_bytes()


def is_stream(path: Path) -> bool:
    """Return whether a path is a pipe, a device or an open file, which must not be replaced.

    `/dev/stdout` counts also if a shell redirects it to a regular file.
    """
    absolute = os.path.normpath(path.absolute())
    if absolute.startswith(("/dev/std", "/dev/fd/", "/proc/")) and path.exists():
        return True
    return path.exists() and not path.is_file() and not path.is_dir()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def _named_os_errors(verb: str, path: Path, advice: str = "") -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise  # the reader of a pipe ended early, which the user need not fix
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
        tail = f": {advice}" if advice else ""
        raise BadInput(f"cannot {verb} {path}: {reason}{tail}") from None
