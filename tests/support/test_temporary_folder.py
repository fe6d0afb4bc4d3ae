"""Temporary folders of killed processes are removed, those of running ones stay."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import command_line
import pytest
from command_line import ENVIRONMENT

from erasetest.support import temporary_folder
from erasetest.support.temporary_folder import remove_abandoned

HOLD = """
import sys
from erasetest.support.temporary_folder import process_folder
place = process_folder()
(place / "inside").mkdir()
print(place, flush=True)
sys.stdin.read()
"""


def _holder(folder: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        env={**ENVIRONMENT, "TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_the_folder_of_a_killed_process_is_removed(tmp_path: Path) -> None:
    """By the next process; the folder of a running process stays."""
    killed, its = _holder(tmp_path)
    living, own = _holder(tmp_path)
    try:
        assert its.parent == own.parent == tmp_path
        killed.kill()
        killed.wait()
        assert (its / "inside").is_dir()
        third, another = _holder(tmp_path)
        assert sorted(tmp_path.iterdir()) == sorted([own, another])
        assert (own / "inside").is_dir()
        third.communicate("")
        assert list(tmp_path.iterdir()) == [own]
    finally:
        living.communicate("")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("moment", ["mkdtemp", "open"])
def test_a_folder_that_another_process_removes_is_made_again(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is opened, and before it is locked."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    module = tempfile if moment == "mkdtemp" else os
    made: Callable[..., object] = getattr(module, moment)
    calls: list[Path] = []

    def once(*args: object, **options: object) -> object:
        result = made(*args, **options)
        if not calls:
            calls.append(next(tmp_path.iterdir()))
            calls[0].rmdir()
        return result

    monkeypatch.setattr(module, moment, once)
    folder = temporary_folder._locked_folder()
    assert len(calls) == 1
    assert list(tmp_path.iterdir()) == [folder]


def test_only_own_folders_are_removed(tmp_path: Path) -> None:
    """No link is followed, and nothing with another name is removed."""
    kept = tmp_path / "kept"
    kept.mkdir()
    (tmp_path / "erasetest-run-link").symlink_to(kept)
    (tmp_path / "erasetest-run-file").write_text("")
    (tmp_path / "erasetest-other").mkdir()
    (tmp_path / "erasetest-run-abandoned" / "inside").mkdir(parents=True)
    remove_abandoned(tmp_path)
    assert not (tmp_path / "erasetest-run-abandoned").exists()
    assert len(list(tmp_path.iterdir())) == 4
    remove_abandoned(tmp_path / "nowhere")


@pytest.mark.parametrize(("number", "left"), [(signal.SIGTERM, 0), (signal.SIGKILL, 1)])
def test_a_gate_that_is_ended(leaking: Path, tmp_path: Path, number: int, left: int) -> None:
    """SIGTERM is an interruption with cleanup; SIGKILL leaves the folder to the next run."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    (tmp_path / "test_slow.py").write_text(
        "import pathlib, time\n"
        "def test_slow(sensitive_sample):\n"
        "    pathlib.Path('begun').write_text('')\n"
        "    time.sleep(60)\n"
    )
    process = command_line.start(
        "pytest", "-c", os.devnull, "--rootdir", str(tmp_path),
        "test_slow.py", f"--clm={leaking / 'clm'}", f"--leak-samples={leaking / 'samples.jsonl'}",
        f"--leak-thresholds={leaking / 'thresholds.json'}", cwd=tmp_path,
        variables={"TMPDIR": str(temporary)}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(list(temporary.glob("erasetest-*"))) == 1
    process.send_signal(number)
    assert process.wait(30) == (2 if number == signal.SIGTERM else -signal.SIGKILL)
    assert len(list(temporary.glob("erasetest-*"))) == left
    remove_abandoned(temporary)
    assert list(temporary.glob("erasetest-*")) == []
