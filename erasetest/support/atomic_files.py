"""Files that are whole or not there: atomic writes, the cache folder, the key of sample ids."""

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


def cache_dir() -> Path:
    """The folder for what can be built again: `$ERASETEST_CACHE`, else the user's cache folder."""
    given = os.environ.get("ERASETEST_CACHE")
    return Path(given) if given else Path(platformdirs.user_cache_dir("erasetest"))


def write_text(path: str | Path, text: str) -> None:
    """Write a whole file or none: beside the target first, then renamed over it.

    A link keeps pointing to what is written. A pipe or device is written to, not replaced.

    Raises:
        BadInput: the folder is missing, read-only or full; an older file is left as it was.
    """
    with writing(path) as write:
        write(text)


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[Callable[[str], object]]:
    """As `write_text`, for what comes piece by piece: the file appears when the block ends well."""
    path = Path(path)
    with _named_os_errors("write", path):
        if is_stream(path):
            with path.open("w", encoding="utf-8", newline="\n") as stream:
                yield stream.write
            return
        path = path.resolve()
        handle, temporary = tempfile.mkstemp(prefix=_part_prefix(path), dir=path.parent)
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
    """Refuse a file that `write_text` could not write: call it before hours of work.

    Raises:
        BadInput: it is a folder, or nothing can be made in the folder it is to be in.
    """
    path = Path(path)
    if str(path) == "-":
        raise BadInput("'-' stands for no file to write to: name a file, or /dev/stdout")
    if path.is_dir():
        raise BadInput(f"{path}: is a folder: name a file")
    if is_stream(path):
        return
    with _named_os_errors("write", path):
        parent = path.resolve().parent
        if not parent.is_dir():
            raise BadInput(f"{path}: its folder does not exist: make it first")
        # Asked by doing: root may write everywhere, but not in /proc or on a read-only disk.
        handle, temporary = tempfile.mkstemp(prefix=_part_prefix(path), dir=parent)
        os.close(handle)
        os.unlink(temporary)


@contextlib.contextmanager
def new_directory(path: str | Path) -> Iterator[Path]:
    """A folder that appears at `path` when the block ends well, and never half filled.

    An empty folder at `path` is replaced.

    Raises:
        BadInput: something is there already, or it cannot be written.
    """
    path = Path(path)
    check_new_directory(path)
    with _named_os_errors("write", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=_part_prefix(path), dir=path.parent))
        try:
            temporary.chmod(0o777 & ~_umask())
            yield temporary
            os.replace(temporary, path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def check_new_directory(path: str | Path) -> None:
    """Refuse a target that `new_directory` would refuse: call it before hours of work.

    Raises:
        BadInput: a file, or a folder that is not empty, is at `path`, or one that a new folder
            cannot take the place of; or nothing can be made there.
    """
    path = Path(path)
    with _named_os_errors("write", path):
        if path.is_symlink():
            raise BadInput(f"{path}: is a link: name the folder itself")
        if path.is_mount() or path.resolve() == Path.cwd():
            raise BadInput(
                f"{path}: a finished folder cannot take the place of a mounted disk or of the "
                "folder that you are in: name one inside it"
            )
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise BadInput(f"{path}: is there already: name a folder that is new or empty")
        parent = path.absolute().parent
        while not parent.exists():
            parent = parent.parent
        # Asked by doing: root may write everywhere, but not in /proc or on a read-only disk.
        if parent.is_dir():
            Path(tempfile.mkdtemp(prefix=_part_prefix(path), dir=parent)).rmdir()
            return
    raise BadInput(f"{path}: cannot be made: {parent} is not a folder that you may write")


@contextlib.contextmanager
def reserved(path: str | Path) -> Iterator[None]:
    """Keep other runs from writing to this path while the block runs; what killed ones left goes.

    Raises:
        BadInput: another run has it.
    """
    # The file that a link leads to: under whatever name, one run at a time writes it.
    path = Path(path).resolve()
    place = path.with_name(f".{path.name}.lock")
    with _named_os_errors("write", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise BadInput(f"{path.name}: another run is writing it: name another place") from None
    try:
        _clear_parts(path)
        yield
    finally:
        place.unlink(missing_ok=True)
        lock.release()


def unfinished_of(target: Path) -> Path:
    """Where the state of the work that ends in `target` is kept."""
    target = target.resolve()
    return target.with_name(f".{target.name}.unfinished")


def part_of(path: Path, name: str) -> Path:
    """A file for a part of what will be at `path`; `reserved` removes what killed runs left."""
    return path.with_name(_part_prefix(path) + name)


def check_room(path: str | Path, needed: int) -> None:
    """Refuse a target on a disk without room for it: call it before hours of work.

    Raises:
        BadInput: there are fewer than `needed` bytes free.
    """
    parent = Path(path).absolute().parent
    while not parent.exists():
        parent = parent.parent
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise BadInput(
            f"{path}: needs {needed / 1e6:,.0f} MB, and its disk has {free / 1e6:,.0f} MB left: "
            "make room, or name another place"
        )


def _part_prefix(path: Path) -> str:
    """What the names of parts of a file or folder begin with, and no one else's names do."""
    return f".{path.name}.erasetest-"


def _clear_parts(path: Path) -> None:
    """Remove what runs that were killed left of this path: nobody else is writing it now."""
    with contextlib.suppress(OSError):
        for part in path.parent.iterdir():
            if not part.name.startswith(_part_prefix(path)):
                continue
            with contextlib.suppress(OSError):
                if part.is_dir() and not part.is_symlink():
                    shutil.rmtree(part)
                else:
                    part.unlink()


def id_key() -> bytes:
    """The key of the hash that names samples without an id.

    `$ERASETEST_ID_KEY` where it is set (the same in every CI run, so that ids stay the same), else
    a random key kept in the user's data folder. Without the key nobody can confirm a guessed secret
    from an id.
    """
    given = os.environ.get("ERASETEST_ID_KEY")
    if given:
        return given.encode()
    path = Path(platformdirs.user_data_dir("erasetest")) / "id.key"
    with _named_os_errors("keep the key of sample ids in", path, "set ERASETEST_ID_KEY instead"):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=".id.", dir=path.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_hex(32).encode())
            # link, not rename: of two processes that start together the first one's key stays.
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
            os.unlink(temporary)
        return path.read_bytes()


def is_stream(path: Path) -> bool:
    """Whether others hold what is there open: a pipe, a device, a file by the name of its handle.

    `/dev/stdout` leads to a regular file where a shell redirects it.
    """
    place = os.path.normpath(path.absolute())
    if place.startswith(("/dev/std", "/dev/fd/", "/proc/")) and path.exists():
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
        raise  # a reader that wants no more: nothing to mend
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
        tail = f": {advice}" if advice else ""
        raise BadInput(f"cannot {verb} {path}: {reason}{tail}") from None
