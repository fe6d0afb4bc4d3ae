"""What programs can and cannot do in the sandbox. Every hostile program here ends by itself."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path
from unittest import mock

import pytest

from erasetest.errors import SandboxError
from erasetest.support.temporary_folder import process_folder
from erasetest.utility import sandbox
from erasetest.utility.sandbox import (
    LAYERS,
    Attempt,
    Limits,
    Outcome,
    Program,
    pool,
    process,
    run_programs,
    sandbox_layers,
)
from erasetest.utility.sandbox.process import ProcessRunner

PASSED, FAILED, TIMEOUT = Outcome.PASSED, Outcome.FAILED, Outcome.TIMEOUT
QUICK = Limits(cpu_seconds=1)
FORKING = tuple(layer for layer in sandbox_layers() if layer != "system calls")
"""The layers without libseccomp, under which programs may fork."""

needs = {
    layer: pytest.mark.skipif(
        layer not in sandbox_layers(), reason=f"layer {layer!r} is not active here"
    )
    for layer in LAYERS
}


def run(code: str, limits: Limits = QUICK) -> Outcome:
    """Return how one program ends under all layers that are active here."""
    (attempt,) = run_programs([Program(code)], limits=limits)
    return attempt.outcome


@pytest.fixture(params=["all layers", "limits only"])
def runner(request: pytest.FixtureRequest) -> ProcessRunner:
    """A runner with all layers of this machine, and one with those of any Linux."""
    layers = sandbox_layers() if request.param == "all layers" else ("limits",)
    return ProcessRunner(QUICK, layers)


@pytest.mark.parametrize(
    "program",
    [
        "x = 1",
        "import math, random, re, json, decimal, hashlib, typing, datetime, collections, ctypes",
        "import threading\nt = threading.Thread(target=print); t.start(); t.join()",
        "print('x' * 1000)",
        "open('file', 'w').write('text'); assert open('file').read() == 'text'",
        "import tempfile\ntempfile.TemporaryFile().write(b'text')",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: 'int' = 1\nA()",
        "assert input.__name__ and __name__ != '__main__'",
        "s = 'é \\u2603 \\0'",
    ],
)
def test_harmless_programs_pass(program: str, runner: ProcessRunner) -> None:
    """Features that solutions use work under every set of layers."""
    assert runner.run(Program(program)).outcome is PASSED


@pytest.mark.parametrize(
    "program",
    [
        "assert False",
        "raise KeyboardInterrupt",
        "def f(:",
        "x = '\0'",
        "x = '\ud800'",
        "input()",
        "(" * 500 + ")" * 500,
        "import os; os._exit(0)",
        "import sys; sys.exit(0)",
        "raise SystemExit",
        "print('passed', flush=True); raise SystemExit",
        "import os\nfor fd in range(3, 64):\n    try: os.write(fd, b'+passed')\n"
        "    except OSError: pass\nos._exit(0)",
        "import os; os.abort()",
        "import ctypes; ctypes.string_at(0)",
        "def f(): return f()\nf()",
        "import os, atexit\natexit.register(os._exit, 0)\nraise ValueError",
    ],
)
def test_programs_that_do_not_reach_their_end_fail(program: str, runner: ProcessRunner) -> None:
    """Exceptions, exits with status 0, crashes and forged reports are failures."""
    assert runner.run(Program(program)).outcome is FAILED


def test_recursion_without_limit_ends(runner: ProcessRunner) -> None:
    """Recursion ends by a crash, the memory limit or the CPU limit, whichever is first."""
    program = "import sys\nsys.setrecursionlimit(10**8)\ndef f(x): return [f(x) for _ in '1']\nf(1)"
    assert runner.run(Program(program)).outcome in (FAILED, TIMEOUT)


def test_infinite_loop_is_a_timeout_by_cpu_time(runner: ProcessRunner) -> None:
    """A program that exceeds its CPU time is distinguished from one that fails."""
    attempt = runner.run(Program("while True: pass"))
    assert (attempt.outcome, attempt.settled) == (TIMEOUT, False)


def test_the_cpu_limit_cannot_be_caught(runner: ProcessRunner) -> None:
    """A handler of SIGXCPU does not extend the limit."""
    program = "import signal\nsignal.signal(signal.SIGXCPU, lambda *a: None)\nwhile True: pass"
    assert runner.run(Program(program)).outcome is TIMEOUT


def test_sleep_is_a_timeout_by_wall_time() -> None:
    """A program that sleeps is killed at the wall limit, and again when it is run alone."""
    start = time.monotonic()
    assert run("import time; time.sleep(60)", Limits(1, wall_seconds=1)) is TIMEOUT
    assert 2 <= time.monotonic() - start < 30


def test_a_doubtful_timeout_is_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that exceeded its wall time on a busy machine can pass alone."""
    attempts = iter([Attempt(TIMEOUT, settled=False), Attempt(PASSED)])
    monkeypatch.setattr(ProcessRunner, "run", lambda self, program: next(attempts))
    assert run_programs([Program("x")]) == [Attempt(PASSED)]


def test_a_program_that_cannot_be_run_twice_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of the sandbox is never counted as a failed program."""
    fault = Attempt(FAILED, settled=False, fault="fork: no memory")
    monkeypatch.setattr(ProcessRunner, "run", lambda self, program: fault)
    with pytest.raises(SandboxError, match="fork: no memory"):
        run_programs([Program("x")])


def test_a_layer_that_cannot_be_applied_is_a_fault() -> None:
    """A supervisor that cannot apply a layer reports that instead of running the program."""
    limits = Limits(cpu_seconds=1, open_files=-5)
    attempt = ProcessRunner(limits, ("limits",)).run(Program("x = 1"))
    assert attempt.fault


def test_memory_bomb_fails(runner: ProcessRunner) -> None:
    """Allocating more than the limit raises an exception in the program."""
    assert runner.run(Program("x = bytearray(1 << 30)")).outcome is FAILED
    assert runner.run(Program("x = []\nwhile True: x.append(bytearray(1 << 27))")).outcome is FAILED


def test_endless_output_is_discarded(runner: ProcessRunner) -> None:
    """Output is discarded: the program exceeds its CPU time, and this process does not grow."""
    assert runner.run(Program("while True: print('x' * 4096)")).outcome is TIMEOUT


def test_flooding_the_report_is_bounded(runner: ProcessRunner) -> None:
    """A program that writes to every descriptor fills a pipe, not this process."""
    program = """
import os
for fd in range(64):
    try:
        os.set_blocking(fd, False)
        while True: os.write(fd, b'x' * 4096)
    except OSError: pass
"""
    limits = Limits(cpu_seconds=1, wall_seconds=3)
    assert ProcessRunner(limits, ("limits",)).run(Program(program)).outcome is not PASSED


def test_a_large_file_fails(runner: ProcessRunner) -> None:
    """A file stays below its limit."""
    program = "f = open('file', 'wb')\nfor _ in range(64): f.write(bytes(1 << 20)); f.flush()"
    assert runner.run(Program(program)).outcome is FAILED


@needs["files"]
def test_only_libraries_and_an_empty_folder_are_seen(tmp_path: Path) -> None:
    """A program cannot read or write files of this machine, nor execute any."""
    mine = tmp_path / "file"
    mine.write_text("text")
    program = f"""
import os
hidden = ["/proc/self/status", "/etc/passwd", "/dev/zero", "/dev/tty", "/bin/sh"]
for path in [{str(mine)!r}, {__file__!r}, *hidden]:
    assert not os.path.exists(path), path
for path in ["/file", os.__file__, "/tmp/../../file"]:
    try: open(path, "a")
    except OSError: pass
    else: raise AssertionError(path)
assert set(os.listdir("/dev")) == {{"null", "shm"}}
for change in (lambda: os.rmdir("/tmp"), lambda: os.utime("/dev/null"),
               lambda: os.chmod("/dev/null", 0), lambda: os.remove("/dev/null")):
    try: change()
    except OSError: pass
    else: raise AssertionError(change)
assert "file" not in os.listdir(".") and os.getcwd() == "/tmp"
"""
    assert run(program) is PASSED
    assert mine.read_text() == "text"


@needs["files"]
def test_all_files_together_are_bounded() -> None:
    """Many small files fill the folder in memory, not the disk."""
    program = "for i in range(64): open(str(i), 'wb').write(bytes(1 << 20))"
    assert run(program) is FAILED


@needs["privileges"]
def test_privileges_are_dropped() -> None:
    """A program holds no capability and can take none, not in a new user namespace either."""
    program = """
import ctypes, os
libc = ctypes.CDLL(None)
assert libc.prctl(39, 0, 0, 0, 0) == 1  # PR_GET_NO_NEW_PRIVS
for flags in (0x20000, 0x40000000):
    assert libc.unshare(flags) != 0
try: os.setuid(0)
except OSError: pass
else: assert os.getuid() == 0
"""
    attempt = ProcessRunner(QUICK, ("limits", "privileges")).run(Program(program))
    assert attempt.outcome is PASSED


def _alive(name: str) -> bool:
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text().strip() == name:
                return True
        except OSError:
            continue
    return False


@pytest.mark.parametrize("layers", [FORKING, ("limits",)])
def test_descendants_die_with_the_program(layers: tuple[str, ...]) -> None:
    """A process that left its session and parent is dead when the outcome is returned."""
    name = uuid.uuid4().hex[:15]
    program = f"""
import ctypes, os, time
ready, done = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    ctypes.CDLL(None).prctl(15, b"{name}", 0, 0, 0)  # PR_SET_NAME
    os.write(done, b"x")
    time.sleep(30)
    os._exit(0)
assert os.read(ready, 1) == b"x"
"""
    assert ProcessRunner(QUICK, layers).run(Program(program)).outcome is PASSED
    assert not _alive(name)


@pytest.mark.skipif("user" not in sandbox_layers(), reason="the limit does not hold for root")
def test_fork_bomb_is_bounded() -> None:
    """The number of processes is limited, and all of them are killed."""
    name = uuid.uuid4().hex[:15]
    program = f"""
import ctypes, os, time
ctypes.CDLL(None).prctl(15, b"{name}", 0, 0, 0)
for _ in range(300):
    if os.fork() == 0:
        time.sleep(5)
        os._exit(0)
"""
    assert ProcessRunner(QUICK, FORKING).run(Program(program)).outcome is FAILED
    assert not _alive(name)


@pytest.fixture
def folders() -> Path:
    """The parent of the programs' folders."""
    return process_folder()


def test_folders_are_removed(folders: Path, runner: ProcessRunner) -> None:
    """No file of a program remains, not even a folder without permissions for its owner."""
    program = "import os\nos.makedirs('a/b'); open('a/b/c', 'w').close(); os.chmod('a', 0)"
    assert runner.run(Program(program)).outcome is PASSED
    assert list(folders.iterdir()) == []


def test_environment_is_empty(monkeypatch: pytest.MonkeyPatch, runner: ProcessRunner) -> None:
    """No environment variable of this process reaches a program; HOME and USER are replaced."""
    monkeypatch.setenv("SOME_TOKEN", "value")
    program = (
        "import os; assert set(os.environ) - {'LC_CTYPE'} == {'HOME', 'LOGNAME', 'USER'}; "
        "assert os.environ['HOME'] == os.getcwd() and os.environ['USER'] == 'nobody'"
    )
    assert runner.run(Program(program)).outcome is PASSED


@pytest.mark.parametrize("first", [b"?", b"+", b"!", b"=", b"\n", b" "])
def test_any_nonce_is_recognized(monkeypatch: pytest.MonkeyPatch, first: bytes) -> None:
    """Also one that begins with a byte that the processes use as a mark."""
    monkeypatch.setattr(process.secrets, "token_bytes", lambda count: first * count)
    assert ProcessRunner(QUICK, sandbox_layers()).run(Program("x = 1")) == Attempt(
        PASSED, parses=True, peak_bytes=mock.ANY
    )


def test_identical_programs_are_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outcomes have the order of the programs, and progress counts all of them."""
    seen: list[str] = []
    original = ProcessRunner.run

    def counted(self: ProcessRunner, program: Program) -> Attempt:
        seen.append(program.code)
        return original(self, program)

    monkeypatch.setattr(ProcessRunner, "run", counted)
    done: list[tuple[int, int]] = []
    attempts = run_programs(
        [Program(code) for code in ("x = 1", "assert 0", "x = 1", "x = 1")],
        progress=lambda now, total: done.append((now, total)),
    )
    assert [each.outcome for each in attempts] == [PASSED, FAILED, PASSED, PASSED]
    assert sorted(seen) == ["assert 0", "x = 1"]
    assert max(done) == (4, 4)
    assert run_programs([]) == []


def test_interruption_ends_running_programs(folders: Path) -> None:
    """Ctrl-C does not wait for the programs, and no process or file remains."""

    def interrupt(now: int, total: int) -> None:
        raise KeyboardInterrupt

    sleepers = [Program(f"import time; time.sleep({60 + i})") for i in range(8)]
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_programs(
            [Program("x = 1"), *sleepers], limits=Limits(60), workers=2, progress=interrupt
        )
    assert time.monotonic() - start < 30
    assert list(folders.iterdir()) == []


def test_nothing_is_left_when_the_runner_is_killed() -> None:
    """`kill -9` of the process that waits for a program ends the program and its supervisor."""
    code = """
from erasetest.utility.sandbox import Limits, Program, sandbox_layers
from erasetest.utility.sandbox.process import ProcessRunner
runner = ProcessRunner(Limits(60), sandbox_layers())
runner.run(Program("x = 1"))
print(*[server._process.pid for server in runner._idle], flush=True)
runner.run(Program("import time; time.sleep(60)"))
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as runner:
        assert runner.stdout
        session = int(runner.stdout.readline())
        while len(_in_session(session)) < 4:
            time.sleep(0.05)
        runner.kill()
    end = time.monotonic() + 10
    while _in_session(session) and time.monotonic() < end:
        time.sleep(0.05)
    assert _in_session(session) == []


def _in_session(number: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
            if int(session) == number and state != "Z":
                found.append(int(stat.parent.name))
    return found


def test_without_limits_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail closed: a machine without limits runs programs only with `unsafe`."""
    monkeypatch.setattr(pool, "sandbox_layers", tuple)
    with pytest.raises(SandboxError, match="--unsafe-execution"):
        run_programs([Program("x = 1")])
    attempts = run_programs([Program("x = 1"), Program("assert 0")], unsafe=True)
    assert [attempt.outcome for attempt in attempts] == [PASSED, FAILED]


def test_layers_are_known_by_name() -> None:
    """Every active layer is one of `LAYERS`, in the same order."""
    held = sandbox_layers()
    assert held == tuple(layer for layer in LAYERS if layer in held)
    assert "limits" in held
    assert sandbox.LAYERS["network"]
