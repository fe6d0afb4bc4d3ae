"""Repositories that are damaged, partial or untrusted."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest
from corpus_reading import names_and_reasons, read_corpus

from erasetest.errors import BadInput
from erasetest.scanning.sources import plan
from erasetest.scanning.walk import Skipped

BROKEN = "broken: git cannot read its object"


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    git(folder, "init", "-q")
    for name, text in files.items():
        (folder / name).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "x")
    return folder


def texts(folder: Path) -> list[str]:
    return [text.text for text in read_corpus(folder, revision="HEAD")[0]]


def keys(folder: Path) -> list[str]:
    jobs = plan([folder], revision="HEAD")
    return [job.key for job in jobs if not isinstance(job, Skipped)]


def object_of(folder: Path, name: str) -> Path:
    object_id = git(folder, "rev-parse", f"HEAD:{name}")
    path = folder / ".git/objects" / object_id[:2] / object_id[2:]
    path.chmod(0o644)
    return path


def test_a_change_of_any_file_changes_the_key(tmp_path: Path) -> None:
    before = keys(commit(tmp_path, a="1", b="1", c="1"))
    assert keys(tmp_path) == before
    assert keys(commit(tmp_path, b="2")) != before


@pytest.mark.parametrize("damage", ["lost", "head", "tail"])
def test_a_damaged_object_is_named_and_ends_nothing(tmp_path: Path, damage: str) -> None:
    commit(tmp_path, a="1", b=random.Random(3).randbytes(9000).hex(), c="3", d="4")
    path = object_of(tmp_path, "b")
    data = path.read_bytes()
    if damage == "lost":
        path.unlink()
    else:
        path.write_bytes(b"nothing" if damage == "head" else data[:3000] + b"\xff" * 6000)
    assert texts(tmp_path) == ["1", "3", "4"]
    assert names_and_reasons(read_corpus(tmp_path, revision="HEAD")[1]) == [("b", BROKEN)]


def test_an_object_that_disappears_after_the_plan_is_named(tmp_path: Path) -> None:
    commit(tmp_path, a="1", b="2", c="3")
    (job,) = plan([tmp_path], revision="HEAD")
    assert not isinstance(job, Skipped)
    object_of(tmp_path, "b").unlink()
    assert [text for text in job.texts() if isinstance(text, Skipped)] == [
        Skipped(f"{tmp_path.as_posix()}/b", BROKEN)
    ]


def test_a_lost_folder_is_reported(tmp_path: Path) -> None:
    commit(tmp_path, a="1")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/b").write_text("2")
    commit(tmp_path)
    object_of(tmp_path, "sub").unlink()
    assert texts(tmp_path) == ["1"]
    ((_, reason),) = names_and_reasons(read_corpus(tmp_path, revision="HEAD")[1])
    assert reason.startswith("git cannot list all files")


def test_nothing_is_fetched_or_run_for_a_partial_clone(tmp_path: Path) -> None:
    commit(tmp_path / "whole", a="1", b="2")
    git(tmp_path / "whole", "config", "uploadpack.allowFilter", "true")
    source = f"file://{tmp_path}/whole"
    git(tmp_path, "clone", "-q", "--no-checkout", "--filter=blob:none", source, "partial")
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\ntouch {tmp_path}/ran\nexec git-upload-pack "$@"\n')
    program.chmod(0o755)
    for name in ("remote.origin.uploadpack", "core.fsmonitor"):
        git(tmp_path / "partial", "config", name, str(program))
    git(tmp_path / "partial", "config", "protocol.file.allow", "always")
    found, skipped = read_corpus(tmp_path / "partial", revision="HEAD")
    assert found == []
    assert [reason[:25] for _, reason in skipped] == ["git cannot list all files"]
    assert not (tmp_path / "ran").exists()


def test_replaced_objects_are_read_as_they_were(tmp_path: Path) -> None:
    commit(tmp_path, a="1")
    (tmp_path / "other").write_text("2")
    git(tmp_path, "replace", git(tmp_path, "rev-parse", "HEAD:a"), git(tmp_path, "hash-object",
        "-w", "other"))  # fmt: skip
    assert texts(tmp_path) == ["1"]


def test_the_repository_that_is_named_is_read_in_a_hook_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(tmp_path / "a", a="1")
    commit(tmp_path / "b", b="2")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "b/.git"))
    assert texts(tmp_path / "a") == ["1"]


def test_a_folder_in_a_repository_is_refused(tmp_path: Path) -> None:
    commit(tmp_path, a="1")
    (tmp_path / "sub").mkdir()
    with pytest.raises(BadInput, match="sub: is a folder in a git repository: name the repos"):
        read_corpus(tmp_path / "sub", revision="HEAD")


def test_bare_repositories_and_worktrees_are_read(tmp_path: Path) -> None:
    commit(tmp_path / "r", a="1")
    git(tmp_path, "clone", "-q", "--bare", "r", "bare")
    git(tmp_path / "r", "worktree", "add", "-q", str(tmp_path / "tree"))
    assert texts(tmp_path / "bare") == texts(tmp_path / "tree") == ["1"]


def test_a_submodule_and_a_large_file_are_named(tmp_path: Path) -> None:
    commit(tmp_path, a="1", large="x" * (5 * 2**20 + 1))
    head = git(tmp_path, "rev-parse", "HEAD")
    git(tmp_path, "update-index", "--add", "--cacheinfo", f"160000,{head},module")
    git(tmp_path, "commit", "-q", "-m", "x")
    assert texts(tmp_path) == ["1"]
    assert names_and_reasons(read_corpus(tmp_path, revision="HEAD")[1]) == [
        ("large", "larger than 5 MiB"),
        ("module", "a submodule, which is not scanned"),
    ]


def test_missing_git_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(BadInput, match="git cannot be run: "):
        read_corpus(tmp_path, revision="HEAD")


def test_a_repository_given_twice_is_read_once(tmp_path: Path) -> None:
    commit(tmp_path, a="1")
    assert len(read_corpus(tmp_path, tmp_path, revision="HEAD")[0]) == 1
