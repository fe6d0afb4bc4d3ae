"""Inputs and outputs that are the same file are refused before anything is written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from command_line import erasetest

from erasetest.errors import BadInput
from erasetest.support.path_collisions import (
    check_collisions,
    reads,
    reads_checkpoint,
    writes,
    writes_folder,
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a file under four names and a checkpoint."""
    (tmp_path / "a").write_text("a")
    (tmp_path / "soft").symlink_to("a")
    os.link(tmp_path / "a", tmp_path / "hard")
    (tmp_path / "away").symlink_to(tmp_path)
    (tmp_path / "clm").mkdir()
    (tmp_path / "clm" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["a", "./a", "soft", "hard", "away/a", "clm/../a"])
def test_an_output_that_is_an_input_is_refused(folder: Path, name: str) -> None:
    """By any name or link, relative or absolute; the message names both options."""
    for path in (Path(name), folder / name):
        with pytest.raises(BadInput) as caught:
            check_collisions([*reads("--in", "a"), *writes("--out", path)])
        assert str(caught.value).startswith("--in (a) and --out (")
        assert "are the same file" in str(caught.value)


@pytest.mark.parametrize("name", ["new", "away/new"])
def test_two_outputs_that_are_the_same_new_file_are_refused(folder: Path, name: str) -> None:
    """Neither exists yet; also if one option names both."""
    with pytest.raises(BadInput, match=r"--one.*--two.*same file"):
        check_collisions([*writes("--one", "new"), *writes("--two", name)])
    with pytest.raises(BadInput, match="--one names the same file twice"):
        check_collisions(writes("--one", "new", name))


@pytest.mark.parametrize("name", ["clm", "away/clm"])
def test_a_file_inside_a_checkpoint_is_refused(folder: Path, name: str) -> None:
    """Whether the checkpoint is read or written."""
    inside = writes("--out", "clm/x.json")
    for checkpoint in (reads_checkpoint("--clm", name), writes_folder("--clm", name)):
        with pytest.raises(BadInput, match=r"--out \(clm/x.json\) is inside the folder of --clm"):
            check_collisions([*checkpoint, *inside])
    with pytest.raises(BadInput, match="inside the folder of --clm"):
        check_collisions([*reads_checkpoint("--clm", "clm"), *writes_folder("--new", "clm/new")])


def test_runs_without_a_collision_are_accepted(folder: Path) -> None:
    """Inputs may be shared, a checkpoint may be a hub id, and devices take any number of writers.

    A file beside a folder whose name begins alike is not inside it.
    """
    (folder / "clm2").mkdir()
    check_collisions(
        [
            *reads("--one", "a"),
            *reads("--two", "hard"),
            *reads("--config", "clm/config.json"),
            *reads_checkpoint("--clm", "clm"),
            *reads_checkpoint("--clm-base", "gpt2"),
            *reads_checkpoint("--clm-adapter", None),
            *writes("--out", "/dev/null", "clm2/x"),
            *writes("--log", "/dev/null", None),
            *writes_folder("--new", "erased"),
        ]
    )


COMMANDS: dict[str, tuple[Sequence[str], str, str]] = {
    "probe": (["probe", "s.jsonl", "--clm", "clm", "-o", "hard.jsonl"], "MANIFEST", "--output"),
    "probe, store": (
        ["probe", "s.jsonl", "--clm", "clm", "-o", "new", "--store", "hard.jsonl"],
        "MANIFEST", "--store",
    ),
    "probe into the CLM": (
        ["probe", "s.jsonl", "--clm", "clm", "-o", "clm/config.json"], "--clm", "--output"
    ),
    "probe into the adapter": (
        ["probe", "s.jsonl", "--clm", "demo", "--clm-adapter", "clm", "-o", "clm/config.json"],
        "--clm-adapter", "--output",
    ),
    "scan": (["scan", "s.jsonl", "-o", "hard.jsonl"], "PATHS", "--output"),
    "scan twice": (["scan", "s.jsonl", "-o", "x", "--skipped", "./x"], "--output", "--skipped"),
    "calibrate": (
        ["calibrate", "--samples", "s.jsonl", "--clm", "clm", "-o", "hard.jsonl"],
        "--samples", "--output",
    ),
    "curate": (["curate", "s.jsonl", "-o", "x", "--picture", "x"], "--output", "--picture"),
    "erase": (["erase", "s.jsonl", "--clm", "clm", "-o", "clm/new"], "--clm", "--output"),
    "utility": (
        ["utility", "s.jsonl", "--clm", "clm", "--held-out", "s.jsonl", "-o", "hard.jsonl"],
        "PROBLEMS", "--output",
    ),
    "utility, against": (
        ["utility", "s.jsonl", "--clm", "demo", "--against", "clm", "-o", "clm/config.json"],
        "--against", "--output",
    ),
    "report": (["report", "s.jsonl", "-o", "hard.jsonl"], "RUN", "--output"),
}  # fmt: skip


@pytest.mark.parametrize("case", COMMANDS)
def test_no_command_overwrites_its_own_files(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2 and one line that names both options; no file changes."""
    from erasetest.cli import main

    (tmp_path / "s.jsonl").write_text("kept")
    os.link(tmp_path / "s.jsonl", tmp_path / "hard.jsonl")
    (tmp_path / "clm").mkdir()
    (tmp_path / "clm" / "config.json").write_text("{}")
    arguments, one, other = COMMANDS[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["erasetest", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 2, said
    assert one in said
    assert other in said
    assert len(said.splitlines()) == 1
    assert (tmp_path / "s.jsonl").read_text() == "kept"
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == [
        "clm", "config.json", "hard.jsonl", "s.jsonl"
    ]  # fmt: skip


def test_a_command_ends_with_one_line(tmp_path: Path) -> None:
    """In a separate process, as users run it."""
    (tmp_path / "a.json").write_text("{}")
    done = erasetest("report", "a.json", "-o", "./a.json", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "erasetest: RUN (a.json) and --output (a.json) are the same file: name another output\n"
    )
