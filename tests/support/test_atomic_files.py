"""Atomic writes, reservations and the key of sample ids."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

from erasetest.errors import BadInput
from erasetest.support import atomic_files
from erasetest.support.atomic_files import (
    cache_dir,
    check_new_directory,
    id_key,
    new_directory,
    reserved,
    write_text,
)

needs_permissions = pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")


def test_write_text_replaces_a_file(tmp_path: Path) -> None:
    """In UTF-8, byte for byte; no temporary file remains."""
    path = tmp_path / "a.txt"
    path.write_text("old")
    write_text(path, "grüße\r\n→\n")
    assert path.read_bytes() == "grüße\r\n→\n".encode()
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_write_text_gives_the_default_permissions(tmp_path: Path) -> None:
    """Not those of the temporary file, which is private."""
    mask = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


@pytest.mark.parametrize("failing", ["fsync", "replace", "chmod"])
def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """The message says that the disk is full; the old file stays, no temporary file remains."""
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic_files.os, failing, fail)
    with pytest.raises(BadInput) as caught:
        write_text(path, "new")
    assert str(caught.value) == f"cannot write {path}: the disk is full"
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_an_interrupted_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C leaves no partial file."""

    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic_files.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_text(tmp_path / "a.txt", "new")
    assert list(tmp_path.iterdir()) == []


def test_text_that_cannot_be_encoded_leaves_nothing(tmp_path: Path) -> None:
    """Any error removes the temporary file."""
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a.txt", "\ud800")
    assert list(tmp_path.iterdir()) == []


def test_write_text_to_an_impossible_path(tmp_path: Path) -> None:
    """Its folder is missing, it is a folder, its folder is a file: the message names the path."""
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "missing" / "a.txt", tmp_path, tmp_path / "file" / "a.txt"):
        with pytest.raises(BadInput, match=f"^cannot write {path}: "):
            write_text(path, "x")


@needs_permissions
def test_write_text_in_a_read_only_folder(tmp_path: Path) -> None:
    """The message gives the reason."""
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(BadInput, match="Permission denied"):
            write_text(tmp_path / "a.txt", "x")
    finally:
        tmp_path.chmod(0o755)


def test_new_directory_appears_whole(tmp_path: Path) -> None:
    """The path does not exist until the block ends; its parents are created."""
    target = tmp_path / "a" / "b"
    with new_directory(target) as place:
        assert not target.exists()
        (place / "x").write_text("x")
    assert (target / "x").read_text() == "x"
    assert [p.name for p in target.parent.iterdir()] == ["b"]


def test_new_directory_replaces_an_empty_one(tmp_path: Path) -> None:
    """Users often create the folder first."""
    target = tmp_path / "out"
    target.mkdir()
    with new_directory(target) as place:
        (place / "x").write_text("x")
    assert [p.name for p in target.iterdir()] == ["x"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, BadInput])
def test_a_failed_block_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    """The error propagates, and the partial folder is removed."""

    def fill() -> None:
        with new_directory(tmp_path / "out") as place:
            (place / "x").write_text("x")
            raise error

    with pytest.raises(error):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_while_filling(tmp_path: Path) -> None:
    """Disk errors are reported as by `write_text`."""
    with pytest.raises(BadInput, match="the disk is full"), new_directory(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_new_directory_refuses_existing_files(tmp_path: Path) -> None:
    """A file, or a folder that is not empty; both stay unchanged."""
    full = tmp_path / "full"
    full.mkdir()
    (full / "x").write_text("x")
    for path in (full, full / "x"):
        with pytest.raises(BadInput, match=f"^{path}: exists already"):
            check_new_directory(path)
        with pytest.raises(BadInput, match="exists already"), new_directory(path):
            raise AssertionError("the block must not run")
    assert (full / "x").read_text() == "x"


def test_new_directory_refuses_links(tmp_path: Path) -> None:
    """To an empty folder or dangling: `os.replace` would fail after hours of work."""
    (tmp_path / "empty").mkdir()
    for name, target in (("link", tmp_path / "empty"), ("dangling", tmp_path / "no" / "x")):
        (tmp_path / name).symlink_to(target)
        with pytest.raises(BadInput, match=rf"{name}: is a link: name the folder itself"):
            check_new_directory(tmp_path / name)
    assert not (tmp_path / "no").exists()


def test_new_directory_refuses_folders_that_cannot_be_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The current folder, and a mount point."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=r"^\.: a mounted disk and the current folder cannot"):
        check_new_directory(".")
    (tmp_path / "disk").mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda self: self.name == "disk")
    with pytest.raises(BadInput, match="disk: a mounted disk and the current folder cannot"):
        check_new_directory(tmp_path / "disk")
    check_new_directory(tmp_path / "disk" / "new")


def test_check_new_directory_looks_up_the_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parents may be missing, if they can be created."""
    check_new_directory(tmp_path / "a" / "b" / "c")
    monkeypatch.chdir(tmp_path)
    check_new_directory("relative")
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInput, match=r"file is not a writable folder"):
        check_new_directory(tmp_path / "file" / "c")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]

    def refused(**_: object) -> str:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(atomic_files.tempfile, "mkdtemp", refused)
    with pytest.raises(BadInput, match=r"cannot write .*c: Permission denied"):
        check_new_directory(tmp_path / "c")


def test_a_folder_that_not_even_root_may_write_is_refused() -> None:
    """Before the work, and not as a path that another run has reserved."""
    with pytest.raises(BadInput, match="cannot write /proc/x: "):
        check_new_directory("/proc/x")


def test_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message gives the reason."""

    def closed(self: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", closed)
    with pytest.raises(BadInput, match="Permission denied"):
        check_new_directory(tmp_path)


def test_cache_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment variable, else the user's cache folder."""
    monkeypatch.setenv("ERASETEST_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.setenv("ERASETEST_CACHE", "")
    assert cache_dir() == Path(platformdirs.user_cache_dir("erasetest"))


def test_id_key_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in every CI run."""
    monkeypatch.setenv("ERASETEST_ID_KEY", "schlüssel")
    assert id_key() == "schlüssel".encode()


def test_id_key_is_created_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is random, readable by its owner only, and does not change."""
    monkeypatch.delenv("ERASETEST_ID_KEY", raising=False)
    monkeypatch.setattr(platformdirs, "user_data_dir", lambda name: str(tmp_path / name))
    key = id_key()
    assert len(key) == 64
    assert id_key() == key
    path = tmp_path / "erasetest" / "id.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["id.key"]
    path.unlink()
    assert id_key() != key


def test_of_two_processes_the_first_key_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A key that another process has created meanwhile is used, not replaced."""
    monkeypatch.delenv("ERASETEST_ID_KEY", raising=False)
    monkeypatch.setattr(platformdirs, "user_data_dir", lambda name: str(tmp_path / name))
    link = os.link

    def other_first(source: str, target: Path) -> None:
        target.write_text("the other's")
        link(source, target)

    monkeypatch.setattr(atomic_files.os, "link", other_first)
    assert id_key() == b"the other's"
    assert [p.name for p in (tmp_path / "erasetest").iterdir()] == ["id.key"]


def test_an_id_key_that_cannot_be_stored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The message names the environment variable."""
    monkeypatch.delenv("ERASETEST_ID_KEY", raising=False)
    (tmp_path / "file").write_text("x")
    monkeypatch.setattr(platformdirs, "user_data_dir", lambda name: str(tmp_path / "file" / name))
    with pytest.raises(BadInput, match=r": set ERASETEST_ID_KEY instead$"):
        id_key()


def test_files_and_samples_need_no_torch() -> None:
    """So that scanning and reporting start fast."""
    code = "import sys, erasetest.samples; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_link_stays_one(tmp_path: Path) -> None:
    """Its target is replaced, as by any program that opens the link for writing."""
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


@pytest.mark.parametrize("redirected", [True, False])
def test_standard_output_is_written_to(tmp_path: Path, redirected: bool) -> None:
    """A pipe, or a file to which the shell redirects; later output follows."""
    code = (
        "from erasetest.support.atomic_files import write_text\n"
        "write_text('/dev/stdout', 'one\\n')\n"
        "print('two')\n"
    )
    out = tmp_path / "out"
    with out.open("ab") as file:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=file if redirected else subprocess.PIPE, check=True
        )
    said = out.read_bytes() if redirected else done.stdout
    assert said == b"one\ntwo\n"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_only_temporary_files_of_killed_runs_are_removed(tmp_path: Path) -> None:
    """Files of the user and saved states stay; links are not followed."""
    names = (".env.template", ".env.erasetest-store", ".envs.erasetest-tmp-1", ".env.erasetest-tmp")
    kept = [tmp_path / name for name in names]
    for path in kept:
        path.touch()
    folder = tmp_path / ".env.original"
    (folder / "inner").mkdir(parents=True)
    left = [tmp_path / f".env.erasetest-tmp-{n}abcdefg" for n in range(3)]
    left[0].touch()
    (left[1] / "deep").mkdir(parents=True)
    left[2].symlink_to(folder)
    with reserved(tmp_path / "env"):
        assert (tmp_path / ".env.erasetest-lock").exists()
        assert not any(path.is_symlink() or path.exists() for path in left)
    assert all(path.exists() for path in (*kept, folder / "inner"))


def test_a_link_is_reserved_with_its_target(tmp_path: Path) -> None:
    """Two names of one file share one lock."""
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for one, other in (("link", "real"), ("real", "link")):
        with (
            reserved(tmp_path / one),
            pytest.raises(BadInput, match="another run is writing it"),
            reserved(tmp_path / other),
        ):
            pass
