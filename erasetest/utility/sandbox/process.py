"""One program in one fresh process, and the verdict on it, computed on this side."""

from __future__ import annotations

import hmac
import marshal
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from erasetest.utility.sandbox.limits import Limits, Outcome

# An import, not a script: a script is compiled anew at each start.
_LAUNCH = (
    "import sys; sys.path.insert(0, sys.argv[1]); import launcher; del sys.path[0]; launcher.main()"
)
_NONCE_BYTES = 16
_START_SECONDS = 10.0
"""What the launcher may take, beyond the program's wall limit, to start and to clean up."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one run of a program showed.

    `settled` is false where a busy machine may be the cause, so that the program deserves another
    run, alone. `fault` is why the program could not be run, if so.
    """

    outcome: Outcome
    settled: bool = True
    fault: str | None = None


class ProcessRunner:
    """Runs programs, each in its own process and folder; may be used by several threads.

    Args:
        limits: what each program may use.
        layers: the layers to apply, out of `LAYERS`; one that cannot be applied is a fault.
        workers: how many programs run at a time, for the limit on processes.
    """

    def __init__(self, limits: Limits, layers: Sequence[str], workers: int = 1) -> None:
        self._limits = limits
        self._settings = {
            "layers": list(layers),
            "nonce_bytes": _NONCE_BYTES,
            "cpu_seconds": limits.cpu_seconds,
            "wall_seconds": limits.wall,
            "memory_bytes": limits.memory_bytes,
            "file_bytes": limits.file_bytes,
            "open_files": limits.open_files,
            "processes": _process_limit(limits.processes, layers, workers),
        }
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(self, program: str) -> Attempt:
        """Run a program to its end or its limits. Nothing of it is left when this returns."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        source = program.encode("utf-8", "surrogatepass")
        job = marshal.dumps({**self._settings, "program": source})
        with tempfile.TemporaryDirectory(prefix="erasetest-", ignore_cleanup_errors=True) as folder:
            try:
                launcher = _start(folder)
            except OSError as error:
                return _fault(f"{sys.executable} could not be started: {error.strerror}")
            self._running.add(launcher)
            if self._stopped:
                launcher.terminate()
            try:
                return self._watch(launcher, len(job).to_bytes(4, "big") + job + nonce, nonce)
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
        status, cpu_seconds, out_of_time, reported = rest.split(" ")
        if int(out_of_time):
            return Attempt(Outcome.TIMEOUT, settled=False)
        if os.WIFSIGNALED(int(status)) and float(cpu_seconds) >= self._limits.cpu_seconds / 2:
            # Half: the kernel may count the limit in ticks and the usage exactly, and a killed
            # process has then used less. No second run: CPU time hardly depends on other programs.
            return Attempt(Outcome.TIMEOUT)
        if int(status) == 0 and hmac.compare_digest(bytes.fromhex(reported), nonce):
            return Attempt(Outcome.PASSED)
        return Attempt(Outcome.FAILED)


def _start(folder: str) -> subprocess.Popen[bytes]:
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
