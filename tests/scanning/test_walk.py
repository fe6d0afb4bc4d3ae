"""Selection of files to scan."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from erasetest.errors import BadInput
from erasetest.scanning.walk import SKIPPED_FOLDERS, Skipped, shown, walk


def list_files(paths: list[Path]) -> tuple[list[Path], list[Skipped]]:
    found = list(walk(paths))
    return (
        [one for one in found if not isinstance(one, Skipped)],
        [one for one in found if isinstance(one, Skipped)],
    )


def make(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x = 1\n")


def test_files_come_in_a_fixed_order_each_once(tmp_path: Path) -> None:
    make(tmp_path, "b.py", "a/z.py", "a/y/x.py", "c.py")
    files, skipped = list_files([tmp_path / "c.py", tmp_path, tmp_path / "a"])
    assert [file.relative_to(tmp_path).as_posix() for file in files] == [
        "c.py",
        "b.py",
        "a/z.py",
        "a/y/x.py",
    ]
    assert skipped == []


@pytest.mark.parametrize("folder", sorted(SKIPPED_FOLDERS))
def test_folders_without_code_of_the_corpus_are_named_and_skipped(
    tmp_path: Path, folder: str
) -> None:
    make(tmp_path, "a.py", f"{folder}/b.py", f"deep/{folder}/c.py")
    files, skipped = list_files([tmp_path])
    assert [file.name for file in files] == ["a.py"]
    assert set(skipped) == {
        Skipped(shown(tmp_path / folder), "a folder that is never scanned"),
        Skipped(shown(tmp_path / "deep" / folder), "a folder that is never scanned"),
    }


def test_a_folder_named_by_the_user_is_scanned_whatever_its_name(tmp_path: Path) -> None:
    make(tmp_path, "node_modules/a.js")
    assert len(list_files([tmp_path / "node_modules"])[0]) == 1


def test_a_folder_that_is_one_thing_is_given_whole(tmp_path: Path) -> None:
    make(tmp_path, "a/x.py", "b/whole", "b/y.py", "c.py")
    found = list(walk([tmp_path], lambda folder: (folder / "whole").exists()))
    assert found == [tmp_path / "c.py", tmp_path / "a/x.py", tmp_path / "b"]


def test_links_are_named_and_not_followed(tmp_path: Path) -> None:
    make(tmp_path, "corpus/a.py", "outside.py")
    (tmp_path / "corpus/circle").symlink_to(tmp_path / "corpus")
    (tmp_path / "corpus/out.py").symlink_to(tmp_path / "outside.py")
    (tmp_path / "corpus/itself").symlink_to(tmp_path / "corpus/itself")
    files, skipped = list_files([tmp_path / "corpus"])
    assert [file.name for file in files] == ["a.py"]
    assert [Path(path).name for path, _ in skipped] == ["circle", "itself", "out.py"]
    assert {reason for _, reason in skipped} == {"a symbolic link, which is not followed"}


def test_a_folder_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "shut/a.py", "z.py")
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if path.name == "shut":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    files, skipped = list_files([tmp_path])
    assert [file.name for file in files] == ["z.py"]
    assert skipped == [Skipped(shown(tmp_path / "shut"), "cannot be read: Permission denied")]


def test_a_path_that_is_not_there_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"gone: cannot be scanned: No such file") as caught:
        list_files([tmp_path / "gone"])
    assert "\n" not in str(caught.value)


def test_a_link_that_leads_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(BadInput, match="cannot be scanned"):
        list_files([tmp_path / "loop"])


def test_a_name_of_other_bytes_than_utf8_can_be_written(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/na\xefve.py"
    Path(os.fsdecode(name)).write_text("x = 1\n")
    ((file,), _) = list_files([tmp_path])
    assert shown(file).encode().endswith("na\ufffdve.py".encode())


def test_files_beside_an_output_are_not_a_part_of_the_corpus(tmp_path: Path) -> None:
    """Only those of the outputs of this run: a corpus cannot hide a file by such a name."""
    make(
        tmp_path, "a.py", "out", ".out.erasetest-scan", ".out.erasetest-samples-store-wal",
        ".other.erasetest-scan", ".out.scan", "b/.out.erasetest-scan",
    )  # fmt: skip
    found = list(walk([tmp_path], written=[tmp_path / "out"]))
    skipped = [one for one in found if isinstance(one, Skipped)]
    files = [one.relative_to(tmp_path).as_posix() for one in found if isinstance(one, Path)]
    assert sorted(files) == [".other.erasetest-scan", ".out.scan", "a.py", "b/.out.erasetest-scan"]
    assert skipped == [Skipped(shown(tmp_path / "out"), "written by this command")]
