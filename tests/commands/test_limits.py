"""Commands without enough memory, disk or files: one line, no traceback, nothing lost."""

from __future__ import annotations

import errno
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from command_line import ENVIRONMENT

from erasetest.commands.machine_errors import explain
from erasetest.errors import BadInput
from erasetest.samples import read_manifest
from erasetest.scanning.worker_pool import in_order

SECRET = 'TOKEN = "ghp_x81Lq0ZtYvB3ndx81Lq0ZtYvB3ndx81Lq0Zt"\n'  # pragma: allowlist secret


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder with a file to scan."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "settings.py").write_text(SECRET)
    return tmp_path


def _scan(
    folder: Path,
    redirections: str = "",
    *more: str,
    before: Callable[[], None] | None = None,
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    """Run a scan in a shell, so that its streams can be closed or redirected."""
    command = [sys.executable, "-m", "erasetest.cli", "scan", "src", "-o", "s.jsonl", *more]
    if "--processes" not in more:
        command += ["--processes", "1"]
    return subprocess.run(
        ["bash", "-c", f'"$@" {redirections}', "bash", *command],
        cwd=folder,
        env={**ENVIRONMENT, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=before,
    )


def test_a_full_standard_output_is_reported_and_loses_nothing(corpus: Path) -> None:
    """The manifest is written all the same; the status is not 0."""
    done = _scan(corpus, ">/dev/full")
    assert done.returncode == 1
    assert done.stderr == (
        "erasetest: standard output cannot be written: No space left on device\n"
    )
    assert len(read_manifest(corpus / "s.jsonl")) == 1


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_closed_streams_stop_nothing(corpus: Path, closed: str) -> None:
    """No file that gets the descriptor of a closed stream is written to."""
    done = _scan(corpus, closed)
    assert done.returncode == 0, done.stderr
    assert len(read_manifest(corpus / "s.jsonl")) == 1


@pytest.mark.parametrize("output", ["s.jsonl", "/dev/stdout"])
def test_a_reader_that_has_read_enough(corpus: Path, output: str) -> None:
    """A reader such as `head` that stops early causes no message."""
    done = _scan(corpus, "| true", "-o", output)
    assert done.stderr.replace("1 texts scanned", "").count("erasetest:") == 0
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr


def test_a_closed_standard_output_that_is_asked_for(corpus: Path) -> None:
    """A manifest that cannot be written anywhere is refused."""
    done = _scan(corpus, ">&-", "-o", "/dev/stdout")
    assert done.returncode == 2
    assert "cannot write /dev/stdout" in done.stderr


def _few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))


def test_too_few_open_files(corpus: Path) -> None:
    """Worker processes cannot start: the message names the remedy."""
    done = _scan(corpus, "", "--processes", "2", before=_few_files)
    assert done.returncode == 2
    assert done.stderr == (
        "erasetest: 2 worker processes cannot be started (Too many open files): use one process "
        "(--processes 1)\n"
    )
    assert sorted(path.name for path in corpus.iterdir()) == ["src"]


def test_locks_of_processes_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where /dev/shm is read-only."""

    def refused(*given: object, **named: object) -> ProcessPoolExecutor:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("erasetest.scanning.worker_pool.ProcessPoolExecutor", refused)
    with pytest.raises(
        BadInput, match=r"Read-only file system\): use one process \(--processes 1\)"
    ):
        list(in_order(abs, [1], 2, on_death=lambda job, ask: 0))


def _little_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))


def test_too_little_memory(place: Path, tmp_path: Path) -> None:
    """torch cannot be imported; ERASETEST_DEBUG shows the traceback."""
    for variables, lines in (({}, 1), ({"ERASETEST_DEBUG": "1"}, None)):
        done = subprocess.run(
            [sys.executable, "-m", "erasetest.cli", "probe", "samples.jsonl", "--clm", "clm",
             "-o", str(tmp_path / "m.jsonl")],
            cwd=place, env={**ENVIRONMENT, **variables}, capture_output=True, text=True,
            timeout=120, check=False, preexec_fn=_little_memory,
        )  # fmt: skip
        assert done.returncode == 1
        assert ("Traceback" in done.stderr) is (lines is None)
        if lines is not None:
            assert done.stderr.startswith("erasetest: out of memory: ")
            assert len(done.stderr.splitlines()) == lines


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "out of memory"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
            "out of memory",
        ),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), "out of memory"),
        (RuntimeError("can't start new thread"), "ulimit -u"),
        (OSError(errno.EMFILE, "x"), "ulimit -n"),
        (OSError(errno.ENOSPC, "x", "a/file.py"), "a/file.py: the disk is full"),
        (OSError(errno.ENOSPC, "x", SECRET.split('"')[1]), "[masked]: the disk is full"),
        (sqlite3.OperationalError("database or disk is full"), "database or disk is full"),
        (FileNotFoundError(2, "No usable temporary directory found in ['/x']"), "set TMPDIR"),
        (FileNotFoundError(2, "No such file or directory", "x"), None),
        (RuntimeError("a defect"), None),
        (ImportError("cannot import name 'x' from 'erasetest'"), None),
        (KeyError("x"), None),
    ],
)
def test_what_the_machine_causes_is_explained(error: Exception, reason: str | None) -> None:
    """A defect is not explained: its traceback is needed."""
    message = explain(error)
    assert (message is None) is (reason is None)
    assert reason is None or reason in str(message)


def _file_size() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))


def test_a_scan_that_runs_out_of_space_reports_what_is_saved(tmp_path: Path) -> None:
    """Which complete batches are saved, and where; the same command resumes."""
    (tmp_path / "src").mkdir()
    filler = "".join(f"value_{n} = {n}\n" for n in range(60_000))
    for number in range(6):
        line = SECRET.replace("x81L", f"a{number}bC")
        (tmp_path / "src" / f"f{number}.py").write_text(line * 12 + filler + line)
    done = _scan(tmp_path, before=_file_size)
    kept = tmp_path / ".s.jsonl.erasetest-scan"
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert f"kept in {kept}" in done.stderr
    assert "run the same command again" in done.stderr
    assert kept.read_bytes().endswith(b"\n")
    assert not (tmp_path / "s.jsonl").exists()
    again = _scan(tmp_path)
    assert again.returncode == 0, again.stderr
    assert "parts were scanned before" in again.stdout
    assert not kept.exists()


@pytest.mark.usefixtures("default_sighup")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_a_signal_ends_cleans_up(tmp_path: Path, number: signal.Signals) -> None:
    """As after Ctrl-C; the exit status is that of a shell for this signal."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "erasetest.cli", "scan", "-", "-o", "/dev/stdout",
         "--processes", "1"],
        cwd=tmp_path, env={**ENVIRONMENT, "TMPDIR": str(temporary)}, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list(temporary.glob("erasetest-*/*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    output, message = process.communicate(timeout=60)
    assert (process.returncode, output, message) == (128 + number, "", "erasetest: stopped\n")
    assert list(temporary.iterdir()) == []
