"""One program in fresh processes, and the verdict on it, computed on this side."""

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from erasetest.support.temporary_folder import process_folder
from erasetest.utility.sandbox.filters import system_call_filter
from erasetest.utility.sandbox.fork_server import ForkServer
from erasetest.utility.sandbox.landlock import ruleset
from erasetest.utility.sandbox.limits import Limits, Outcome
from erasetest.utility.sandbox.programs import Program

_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo")
_NONCE_BYTES = 16
_START_SECONDS = 10.0
"""What starting and cleaning up may take, beyond the program's wall limit."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one run of a program showed.

    `settled` is false where a busy machine may be the cause, so that the program deserves another
    run, alone. `parses` says whether the program is Python at all. `fault` is why it could not be
    run, if so.
    `peak_bytes` is the largest resident set of a process of it.
    """

    outcome: Outcome
    settled: bool = True
    parses: bool = False
    fault: str | None = None
    peak_bytes: int = 0


class ProcessRunner:
    """Runs programs, each in processes and a folder of its own; may be used by several threads.

    Processes that wait for programs are kept from one to the next: `close` it, or use it in `with`.

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
        """Run a program to its end or its limits. Nothing of it is left when this returns."""
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
        """End the programs that are running, and those that other threads start now."""
        self._stopped = True
        for server in list(self._busy):
            server.end()

    def close(self) -> None:
        """End what waits for programs."""
        while self._idle:
            self._idle.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _ask(self, server: ForkServer, job: bytes, nonce: bytes) -> Attempt:
        try:
            said = server.ask(job, self._limits.wall + _START_SECONDS)
        except TimeoutError:
            server.close(at_once=True)
            return Attempt(Outcome.TIMEOUT, settled=False)
        except ChildProcessError as ended:
            (status,) = ended.args
            if status < 0:
                # Without the layer "processes" a program may find who started it, and kill it.
                return Attempt(Outcome.FAILED, settled=False)
            return _fault(f"{sys.executable} ended with status {status}")
        return self._judge(said, nonce)

    def _judge(self, said: str, nonce: bytes) -> Attempt:
        kind, _, rest = said.partition(" ")
        if kind != "ended":
            return _fault(rest)
        *ends, peak, out_of_time, parses, was_read, reported = rest.split(" ")
        outcome, settled = Outcome.FAILED, True
        if int(ends[0]) == 0 and hmac.compare_digest(bytes.fromhex(reported), nonce):
            outcome = Outcome.PASSED
        elif int(out_of_time) or any(map(self._out_of_cpu_time, ends[::2], ends[1::2])):
            outcome, settled = Outcome.TIMEOUT, False
        elif not int(was_read):
            settled = False  # killed early; and what it did not read stands in the way of the next
        elif self._shares_its_user and self._workers > 1:
            settled = False  # others may have held all the threads that it needed
        return Attempt(outcome, settled, bool(int(parses)), peak_bytes=int(peak) << 10)

    def _out_of_cpu_time(self, status: str, cpu_seconds: str) -> bool:
        # Half: the kernel may count the limit in ticks and the usage exactly, and a killed process
        # has then used less.
        killed = os.WIFSIGNALED(int(status))
        return killed and float(cpu_seconds) >= self._limits.cpu_seconds / 2


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


@functools.cache
def _installed(libraries: tuple[str, ...]) -> tuple[str, ...]:
    """Return the folders of installed packages: one may hold problems and their answers."""
    names = ("site-packages", "dist-packages")
    found = (path for each in libraries for name in names for path in Path(each).glob(f"*/{name}"))
    return tuple(sorted({str(path) for path in found if not path.is_symlink()}))


def _fault(reason: str) -> Attempt:
    return Attempt(Outcome.FAILED, settled=False, fault=reason)


def _shares_its_user(layers: Sequence[str]) -> bool:
    """Whether programs that run at the same time share one limit on processes and threads.

    RLIMIT_NPROC counts those of the user. A program has a user of its own where root can give it
    one, and begins at none in a user namespace of its own. Root itself is not counted.
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
