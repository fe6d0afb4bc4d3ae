"""Running one program in fresh processes; its outcome is computed here, outside of them."""

from __future__ import annotations

import functools
import hmac
import marshal
import os
import secrets
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from erasetest.support.temporary_folder import process_folder
from erasetest.utility.sandbox.filters import system_call_filter
from erasetest.utility.sandbox.fork_server import ForkServer
from erasetest.utility.sandbox.landlock import ruleset
from erasetest.utility.sandbox.programs import Attempt, Limits, Outcome, Program
from erasetest.utility.sandbox.run_status import FAULT, RunStatus

_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo")
_NONCE_BYTES = 16
_START_SECONDS = 10.0
"""Time for starting and cleaning up, in addition to the program's wall limit."""


class ProcessRunner:
    """Runs each program in separate processes and a separate folder. Thread-safe.

    Idle fork servers are reused for later programs: call `close`, or use it as a context manager.

    Args:
        limits: what each program may use.
        layers: the layers to apply, out of `LAYERS`; one that cannot be applied is a fault.
        workers: number of programs that run at a time, for the limit on processes.
    """

    def __init__(self, limits: Limits, layers: Sequence[str], workers: int = 1) -> None:
        self._limits = limits
        libraries = _libraries()
        self._ruleset = None
        if "landlock" in layers:
            hidden = _installed(libraries)
            self._ruleset = ruleset(libraries, hidden, files="files" not in layers)
        filtered = None
        if "system calls" in layers:
            filtered = system_call_filter(files="files" in layers)
        self._settings = {
            "layers": list(layers),
            "libraries": libraries,
            "hidden": _installed(libraries),
            "ruleset": self._ruleset,
            "filter": filtered,
            "cpu_seconds": limits.cpu_seconds,
            "wall_seconds": limits.wall,
            "memory_bytes": limits.memory_bytes,
            "file_bytes": limits.file_bytes,
            "open_files": limits.open_files,
            "processes": limits.processes,
        }
        self._workers = workers
        self._shares_its_user = _shares_its_user(layers)
        self._idle: list[ForkServer] = []
        self._busy: set[ForkServer] = set()
        self._stopped = False

    def run(self, program: Program) -> Attempt:
        """Run a program to its end or its limits; no process or file of it remains."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        with tempfile.TemporaryDirectory(
            dir=process_folder(), ignore_cleanup_errors=True
        ) as folder:
            settings = {**self._settings, "folder": folder, "program": _source(program.code)}
            if self._shares_its_user:
                settings["processes"] = self._limits.processes * self._workers + _own_tasks()
            job = _framed(settings)
            job += _framed(
                {
                    "known": _source(program.known),
                    "names": list(program.names),
                    "test": _source(program.test),
                    "nonce": nonce,
                }
            )
            try:
                server = self._idle.pop() if self._idle else ForkServer(self._ruleset)
            except OSError as error:
                return _fault(f"{sys.executable} could not be started: {error.strerror}")
            self._busy.add(server)
            if self._stopped:
                server.end()
            try:
                attempt = self._ask(server, job, nonce)
                if attempt.settled and not self._stopped:
                    self._idle.append(server)
                else:
                    server.close()
                return attempt
            except BaseException:
                server.close()
                raise
            finally:
                self._busy.discard(server)

    def stop(self) -> None:
        """Terminate running programs, and those that other threads start from now on."""
        self._stopped = True
        for server in list(self._busy):
            server.end()

    def close(self) -> None:
        """Terminate the idle fork servers."""
        while self._idle:
            self._idle.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _ask(self, server: ForkServer, job: bytes, nonce: bytes) -> Attempt:
        try:
            line = server.ask(job, self._limits.wall + _START_SECONDS)
        except TimeoutError:
            server.close(at_once=True)
            return Attempt(Outcome.TIMEOUT, settled=False)
        except ChildProcessError as ended:
            (status,) = ended.args
            if status < 0:
                # Without the layer "processes", a program may kill the fork server.
                return Attempt(Outcome.FAILED, settled=False)
            return _fault(f"{sys.executable} ended with status {status}")
        if line.startswith(FAULT):
            return _fault(line.removeprefix(FAULT))
        try:
            status = RunStatus.parse(line)
        except ValueError:
            return _fault("its supervisor reported no valid status")
        return self._attempt(status, nonce)

    def _attempt(self, status: RunStatus, nonce: bytes) -> Attempt:
        outcome, settled = Outcome.FAILED, True
        if status.tester_status == 0 and hmac.compare_digest(status.nonce, nonce):
            outcome = Outcome.PASSED
        elif status.wall_timeout or (
            self._out_of_cpu_time(status.tester_status, status.tester_cpu_seconds)
            or self._out_of_cpu_time(status.holder_status, status.holder_cpu_seconds)
        ):
            outcome, settled = Outcome.TIMEOUT, False
        elif not status.test_was_read:
            # Killed early, and the unread rest of its job would be read as the next job.
            settled = False
        elif self._shares_its_user and self._workers > 1:
            settled = False  # other programs may have used up the shared limit on threads
        return Attempt(outcome, settled, status.parses, peak_bytes=status.peak_kib << 10)

    def _out_of_cpu_time(self, wait_status: int, cpu_seconds: float) -> bool:
        # Half of the limit: the kernel may count the limit in ticks but the usage exactly, so a
        # process that was killed at the limit can have used less.
        killed = os.WIFSIGNALED(wait_status)
        return killed and cpu_seconds >= self._limits.cpu_seconds / 2


def _framed(job: dict[str, Any]) -> bytes:
    data = marshal.dumps(job)
    return len(data).to_bytes(4, "big") + data


def _source(text: str) -> bytes:
    # A lone surrogate is not valid Python: the program fails where it is decoded.
    return text.encode("utf-8", "surrogatepass")


@functools.cache
def _libraries() -> tuple[str, ...]:
    """Return the folders that a program may read, parents before their subfolders."""
    own = [f"{sys.base_prefix}/lib", f"{sys.base_exec_prefix}/lib"]
    base = {"base": sys.base_prefix, "platbase": sys.base_exec_prefix}
    own += [sysconfig.get_path(name, vars=base) for name in ("stdlib", "platstdlib")]
    return tuple(sorted(folder for folder in {*_LIBRARIES, *own} if Path(folder).is_dir()))


@functools.cache
def _installed(libraries: tuple[str, ...]) -> tuple[str, ...]:
    """Return the folders of installed packages, which may contain problems with solutions."""
    names = ("site-packages", "dist-packages")
    found = (path for each in libraries for name in names for path in Path(each).glob(f"*/{name}"))
    return tuple(sorted({str(path) for path in found if not path.is_symlink()}))


def _fault(reason: str) -> Attempt:
    return Attempt(Outcome.FAILED, settled=False, fault=reason)


def _shares_its_user(layers: Sequence[str]) -> bool:
    """Return whether concurrent programs share one limit on processes and threads.

    RLIMIT_NPROC counts those of a user. A program has a separate user if root runs the sandbox, and
    a separate count in a user namespace. Root itself is not limited.
    """
    return os.geteuid() != 0 and not {"files", "network", "processes"} & set(layers)


def _own_tasks() -> int:
    """Count the processes and threads of this user."""
    tasks, uid = 0, os.geteuid()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if process.stat().st_uid == uid:
                tasks += sum(1 for _ in (process / "task").iterdir())
    return tasks
