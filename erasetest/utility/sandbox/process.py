"""One program in one fresh process, and the verdict on it, computed on this side."""

from __future__ import annotations

import functools
import hmac
import marshal
import os
import secrets
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from erasetest.utility.sandbox.filters import ruleset, system_call_filter
from erasetest.utility.sandbox.limits import Limits, Outcome
from erasetest.utility.sandbox.programs import Program

# An import, not a script: a script is compiled anew at each start.
_LAUNCH = (
    "import sys; sys.path.insert(0, sys.argv[1]); import inside.launcher as launcher; "
    "del sys.path[0]; launcher.main()"
)
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo")
_NONCE_BYTES = 16
_START_SECONDS = 10.0
"""What the launcher may take, beyond the program's wall limit, to start and to clean up."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one run of a program showed.

    `settled` is false where a busy machine may be the cause, so that the program deserves another
    run, alone. `fault` is why the program could not be run, if so. `peak_bytes` is the largest
    resident set of a process of it.
    """

    outcome: Outcome
    settled: bool = True
    fault: str | None = None
    peak_bytes: int = 0


class ProcessRunner:
    """Runs programs, each in its own process and folder; may be used by several threads.

    Args:
        limits: what each program may use.
        layers: the layers to apply, out of `LAYERS`; one that cannot be applied is a fault.
        workers: how many programs run at a time, for the limit on processes.
    """

    def __init__(self, limits: Limits, layers: Sequence[str], workers: int = 1) -> None:
        self._limits = limits
        libraries = _libraries()
        self._ruleset = None
        if "landlock" in layers:
            self._ruleset = ruleset(libraries, files="files" not in layers)
        self._settings = {
            "layers": list(layers),
            "libraries": libraries,
            "ruleset": self._ruleset,
            "filter": system_call_filter() if "system calls" in layers else None,
            "cpu_seconds": limits.cpu_seconds,
            "wall_seconds": limits.wall,
            "memory_bytes": limits.memory_bytes,
            "file_bytes": limits.file_bytes,
            "open_files": limits.open_files,
            "processes": _process_limit(limits.processes, layers, workers),
        }
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(self, program: Program) -> Attempt:
        """Run a program to its end or its limits. Nothing of it is left when this returns."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        job = _framed({**self._settings, "program": _source(program.code)}) + _framed(
            {
                "known": _source(program.known),
                "names": list(program.names),
                "test": _source(program.test),
                "nonce": nonce,
            }
        )
        with tempfile.TemporaryDirectory(prefix="erasetest-", ignore_cleanup_errors=True) as folder:
            try:
                launcher = _start(folder, self._ruleset)
            except OSError as error:
                return _fault(f"{sys.executable} could not be started: {error.strerror}")
            self._running.add(launcher)
            if self._stopped:
                launcher.terminate()
            try:
                return self._watch(launcher, job, nonce)
            except BaseException:
                launcher.terminate()
                launcher.wait()
                raise
            finally:
                self._running.discard(launcher)

    def stop(self) -> None:
        """End the programs that are running, and those that other threads start now."""
        self._stopped = True
        for launcher in list(self._running):
            launcher.terminate()

    def _watch(self, launcher: subprocess.Popen[bytes], job: bytes, nonce: bytes) -> Attempt:
        try:
            said, _ = launcher.communicate(job, timeout=self._limits.wall + _START_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(launcher.pid, signal.SIGKILL)
            launcher.communicate()
            return Attempt(Outcome.TIMEOUT, settled=False)
        if said:
            return self._judge(said.decode("utf-8", "replace"), nonce)
        if launcher.returncode < 0:
            # Without the layer "processes" a program may find its launcher and kill it.
            return Attempt(Outcome.FAILED, settled=False)
        return _fault(f"{sys.executable} ended with status {launcher.returncode}")

    def _judge(self, said: str, nonce: bytes) -> Attempt:
        kind, _, rest = said.partition(" ")
        if kind != "ended":
            return _fault(rest)
        *ends, peak, out_of_time, reported = rest.split(" ")
        peak_bytes = int(peak) << 10
        if int(out_of_time):
            return Attempt(Outcome.TIMEOUT, settled=False, peak_bytes=peak_bytes)
        for status, cpu_seconds in zip(ends[::2], ends[1::2], strict=True):
            # Half: the kernel may count the limit in ticks and the usage exactly, and a killed
            # process has then used less.
            if os.WIFSIGNALED(int(status)) and float(cpu_seconds) >= self._limits.cpu_seconds / 2:
                return Attempt(Outcome.TIMEOUT, settled=False, peak_bytes=peak_bytes)
        if int(ends[0]) == 0 and hmac.compare_digest(bytes.fromhex(reported), nonce):
            return Attempt(Outcome.PASSED, peak_bytes=peak_bytes)
        return Attempt(Outcome.FAILED, peak_bytes=peak_bytes)


def _framed(job: dict[str, Any]) -> bytes:
    data = marshal.dumps(job)
    return len(data).to_bytes(4, "big") + data


def _source(text: str) -> bytes:
    # A lone surrogate is no program: it fails where it is decoded.
    return text.encode("utf-8", "surrogatepass")


@functools.cache
def _libraries() -> tuple[str, ...]:
    """The folders that a program may read, parents before what is below them."""
    own = [f"{sys.base_prefix}/lib", f"{sys.base_exec_prefix}/lib"]
    base = {"base": sys.base_prefix, "platbase": sys.base_exec_prefix}
    own += [sysconfig.get_path(name, vars=base) for name in ("stdlib", "platstdlib")]
    return tuple(sorted(folder for folder in {*_LIBRARIES, *own} if Path(folder).is_dir()))


def _start(folder: str, inherited: int | None) -> subprocess.Popen[bytes]:
    # No preexec_fn: torch's threads run in this process. The launcher limits itself.
    python = os.path.realpath(sys.executable)
    return subprocess.Popen(  # noqa: S603 - this interpreter and this package's launcher
        [python, "-I", "-S", "-c", _LAUNCH, str(Path(__file__).parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env={},
        start_new_session=True,
        pass_fds=() if inherited is None else (inherited,),
    )


def _fault(reason: str) -> Attempt:
    return Attempt(Outcome.FAILED, settled=False, fault=reason)


def _process_limit(processes: int, layers: Sequence[str], workers: int) -> int:
    """RLIMIT_NPROC for each program.

    The kernel counts all processes and threads of the user, except that a program in its own user
    namespace starts at none.
    """
    uid = os.geteuid()
    if uid != 0 and {"files", "network", "processes"} & set(layers):
        return processes
    return _tasks_of(65534 if uid == 0 else uid) + workers * processes


def _tasks_of(uid: int) -> int:
    tasks = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if process.stat().st_uid == uid:
                tasks += sum(1 for _ in (process / "task").iterdir())
    return tasks
