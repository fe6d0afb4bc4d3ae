"""Processes that tests fork from a warm server are like those of a new interpreter."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import command_line
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the server needs Linux")

PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the modules that are run."""
    (tmp_path / "echo.py").write_text("import sys\nprint(sys.stdin.read(), sys.argv[1:])\n")
    (tmp_path / "status.py").write_text("import sys\nsys.exit(int(sys.argv[1]))\n")
    (tmp_path / "waits.py").write_text("import time\nprint('begun', flush=True)\ntime.sleep(60)\n")
    (tmp_path / "about.py").write_text(
        "import json, os, signal, sys\n"
        "print(json.dumps([os.getsid(0) == os.getpid(), signal.getsignal(signal.SIGHUP), "
        "sorted(os.listdir('/proc/self/fd')), os.environ.get('ERASETEST_MINE'), "
        "'torch' in sys.modules, any('erasetest' in name for name in sys.modules)]))\n"
    )
    return tmp_path


def test_several_run_at_once(folder: Path) -> None:
    """Each has its own streams and status, in whatever order they end."""
    slow = command_line.start("waits", cwd=folder, stdout=subprocess.PIPE)
    others = [command_line.start("echo", str(n), cwd=folder, **PIPES) for n in range(3)]
    for number in (2, 0, 1):
        assert others[number].communicate(f"given {number}", timeout=60) == (
            f"given {number} ['{number}']\n",
            "",
        )
        assert others[number].returncode == 0
    assert command_line.run("status", "5", cwd=folder).returncode == 5
    assert slow.stdout is not None
    assert slow.stdout.readline() == "begun\n"
    assert slow.poll() is None
    slow.kill()
    assert slow.wait(30) == slow.poll() == -signal.SIGKILL
    slow.stdout.close()


def test_ctrl_c_and_a_timeout_end_it(folder: Path) -> None:
    """A signal is an interruption; a run that takes too long is killed."""
    with command_line.start("waits", cwd=folder, **PIPES) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert errors.endswith("KeyboardInterrupt\n")
    with pytest.raises(subprocess.TimeoutExpired):
        command_line.run("waits", cwd=folder, timeout=1)


def test_it_inherits_what_a_new_process_would(
    folder: Path, default_sighup: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session, the action of SIGHUP and variables; no file of the server or of other runs."""
    found = []
    for session, action in ((True, signal.SIG_DFL), (False, signal.SIG_IGN)):
        signal.signal(signal.SIGHUP, action)
        with (
            command_line.start("waits", cwd=folder, stdout=subprocess.PIPE) as other,
            command_line.start(
                "about", cwd=folder, variables={"ERASETEST_MINE": "5"},
                stdout=subprocess.PIPE, start_new_session=session,
            ) as process,
        ):  # fmt: skip
            found.append(json.loads(process.communicate(timeout=60)[0]))
            other.kill()
    for (is_leader, hangup, files, variable, torch, own), expected in zip(
        found, [(True, int(signal.SIG_DFL)), (False, int(signal.SIG_IGN))], strict=True
    ):
        assert (is_leader, hangup) == expected
        # Standard streams, and the folder that is listed.
        assert files == ["0", "1", "2", "3"]
        assert (variable, torch, own) == ("5", True, False)
