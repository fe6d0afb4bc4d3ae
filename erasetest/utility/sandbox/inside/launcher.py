"""Runs programs and their tests in separate processes, under limits.

This process is the fork server: a fork starts in a fraction of the time of a new interpreter. It
imports few modules, because the cost of a fork grows with its memory.

Three processes serve a program. The *supervisor* executes no code of the program: it enters new
namespaces, forks the other two, enforces the wall limit, kills remaining processes, and reports how
the two ended. The *tester* is forked first and is the init process of the new PID namespace, so no
process of the program survives it. The *holder* executes the program.

Standard input has two jobs per program, marshalled, each after its length in 4 bytes (`process.py`
writes them). The second job, with the test and the nonce, is read by the tester alone. Standard
output has one line per program: `fault REASON`, or `ended` and named fields (`run_status.py` parses
them).
"""

# ruff: noqa: PTH123, S302, SIM105

from __future__ import annotations

import gc
import marshal
import os
import select

from .confine import (
    LINUX,
    PR_SET_CHILD_SUBREAPER,
    PR_SET_DUMPABLE,
    PR_SET_PDEATHSIG,
    confine,
    leave_namespaces,
    prctl,
    unused_uid,
)
from .holder import hold
from .tester import compiled, test

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from typing import Any, NoReturn
else:
    import _signal as signal


def main() -> None:
    """Run one job after another and report how each ended, until standard input is closed."""
    gc.freeze()  # objects that no collection visits are not copied in the forks
    while True:
        try:
            job = _read_job()
        except EOFError:
            return
        server = os.getpid()
        incoming, outgoing = os.pipe()
        supervisor = os.fork()
        if supervisor == 0:
            os.close(incoming)
            _supervise(job, server, outgoing)
        os.close(outgoing)
        _wait_for_supervisor(supervisor)
        status = os.waitpid(supervisor, 0)[1]
        # Reported after the wait, so that no process of the program is left by then.
        line = (
            os.read(incoming, 1 << 16)
            or f"fault the supervisor ended with status {status}".encode()
        )
        os.close(incoming)
        os.write(1, line.replace(b"\n", b" ") + b"\n")


def _wait_for_supervisor(supervisor: int) -> None:
    """Wait until the supervisor has ended; terminate it if standard input is closed before."""
    if not LINUX:
        return
    try:
        ended = os.pidfd_open(supervisor)
    except OSError:  # some containers refuse it: the supervisor then ends by the wall limit
        return
    waits = select.poll()
    waits.register(ended, select.POLLIN)
    waits.register(0, 0)  # reports an event only if the other end is closed
    if all(descriptor != ended for descriptor, _ in waits.poll()):
        _kill(os.kill, supervisor, signal.SIGTERM)
    os.close(ended)


def _supervise(job: bytes, server: int, outgoing: int) -> NoReturn:
    try:
        if LINUX:
            prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != server:  # the server ended before PR_SET_PDEATHSIG took effect
            os._exit(1)
        line = _Supervisor(marshal.loads(job), outgoing).run()
    except OSError as error:
        line = f"fault {error}"
    try:
        os.write(outgoing, line.encode("utf-8", "replace"))
    finally:
        os._exit(0)


def _read_job() -> bytes:
    return _read(int.from_bytes(_read(4), "big"))


def _read(size: int) -> bytes:
    """Read exactly `size` bytes of standard input: what follows is read by another process."""
    data = bytearray()
    while len(data) < size:
        more = os.read(0, size - len(data))
        if not more:
            raise EOFError
        data += more
    return bytes(data)


# ---- the supervisor ----


class _Supervisor:
    """Forks the tester and the holder, waits for them, and kills what remains.

    Args:
        job: the first job of the program.
        outgoing: descriptor to the fork server, which no child inherits.
    """

    def __init__(self, job: dict[str, Any], outgoing: int) -> None:
        self._job = job
        self._outgoing = outgoing
        self._children: list[int] = []
        self._ended: dict[int, tuple[int, float]] = {}
        self._peak = 0
        self._stopped_by: list[int] = []

    def run(self) -> str:
        """Run the program and its test; return the status line. No process of them remains."""
        os.chdir(self._job["folder"])
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGALRM, self._stop)
        self._job["uid"] = unused_uid()
        leave_namespaces(self._job)
        _guard_supervisor()
        questions, answers = os.pipe(), os.pipe()
        reported, report = os.pipe()
        tester = self._fork()
        if tester == 0:
            _close(questions[0], answers[1], reported, self._outgoing)
            _test(self._job, answers[0], questions[1], report)
        os.close(report)
        # The tester sets PR_SET_DUMPABLE=0 and reports that before the program's process is forked.
        confined = os.read(reported, 1)
        holder_reported, holder_report = os.pipe()
        holder = self._fork() if confined == b"+" else tester
        if holder == 0:
            _close(questions[1], answers[0], reported, holder_reported, self._outgoing)
            _hold(self._job, questions[0], answers[1], holder_report)
        _close(0, holder_report, *questions, *answers)
        self._wait(tester, holder)
        tester_report = confined + _read_report(reported)
        return self._status_line(tester, holder, tester_report, _read_report(holder_reported))

    def _fork(self) -> int:
        child = os.fork()
        if child:
            self._children.append(child)
            if self._stopped_by:
                self._kill_children()
        return child

    def _stop(self, number: int, frame: object) -> None:
        self._stopped_by.append(number)
        self._kill_children()

    def _kill_children(self) -> None:
        for child in self._children:
            if child not in self._ended:
                _kill(os.kill, child)

    def _wait(self, tester: int, holder: int) -> None:
        """Wait until the tester has ended; then kill the holder and all other descendants."""
        signal.setitimer(signal.ITIMER_REAL, self._job["wall_seconds"])
        while tester not in self._ended:
            ended = self._reap(0)
            if ended == holder:
                # Its descendants may keep the pipe open, for which the tester would wait.
                self._kill_descendants(spare=tester)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._kill_descendants(spare=0)

    def _reap(self, options: int) -> int:
        ended, status, usage = os.wait4(-1, options)
        if ended:
            self._ended[ended] = (status, usage.ru_utime + usage.ru_stime)
            self._peak = max(self._peak, usage.ru_maxrss)
        return ended

    def _kill_descendants(self, spare: int) -> None:
        """Kill all descendants but `spare`, repeatedly until none is left."""
        for child in self._children:
            if child != spare:
                _kill(os.killpg, child)
        while True:
            try:
                with open(f"/proc/self/task/{os.getpid()}/children") as file:
                    children = {int(pid) for pid in file.read().split()} - {spare}
            except OSError:
                children = set()
            for pid in children:
                _kill(os.kill, pid)
            try:
                # Blocks while there are children, so that the loop does not spin.
                if self._reap(0 if children else os.WNOHANG) in (0, spare):
                    return
            except ChildProcessError:
                return

    def _status_line(
        self, tester: int, holder: int, tester_report: bytes, holder_report: bytes
    ) -> str:
        # "+" is written before the program's first line is executed, so no program fakes a fault.
        # The end of the test kills the holder, which may not have reported anything by then.
        early = tester_report.startswith(b"++") and not holder_report
        reports = (tester_report,) if holder == tester or early else (tester_report, holder_report)
        for report in reports:
            if not report.startswith(b"+") and not self._stopped_by:
                reason = report[1:].decode("utf-8", "replace") or "it was killed before its start"
                return f"fault {reason}"
        killed = (signal.SIGKILL, 0.0)
        tester_status, tester_cpu_seconds = self._ended.get(tester, killed)
        holder_status, holder_cpu_seconds = self._ended.get(holder, killed)
        fields = {
            "tester_status": tester_status,
            "tester_cpu_seconds": f"{tester_cpu_seconds:.3f}",
            "holder_status": holder_status,
            "holder_cpu_seconds": f"{holder_cpu_seconds:.3f}",
            "peak_kib": self._peak,
            "wall_timeout": int(signal.SIGALRM in self._stopped_by),
            "parses": int(holder_report[1:2] == b"+"),
            "test_was_read": int(tester_report[1:2] == b"+"),
            "nonce": tester_report[2:].removeprefix(b"=").hex(),
        }
        return "ended " + " ".join(f"{name}={value}" for name, value in fields.items())


def _guard_supervisor() -> None:
    if not LINUX:
        return
    # The supervisor becomes the parent of orphaned processes of the program.
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    # A program of the same user must not attach to its supervisor.
    prctl(PR_SET_DUMPABLE, 0)


def _read_report(reported: int) -> bytes:
    os.set_blocking(reported, False)
    try:
        return os.read(reported, 1024)
    except BlockingIOError:
        return b""


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _kill(how: Callable[[int, int], None], number: int, by: int = signal.SIGKILL) -> None:
    try:
        how(number, by)
    except ProcessLookupError:
        pass


# ---- its children ----


def _test(job: dict[str, Any], incoming: int, outgoing: int, report: int) -> NoReturn:
    try:
        _confined(job, report)
        own_job = marshal.loads(_read_job())
        os.write(report, b"+")
        os.dup2(2, 0)
        if test(own_job, incoming, outgoing):
            os.write(report, b"=" + own_job["nonce"])
            os._exit(0)
    finally:
        os._exit(1)


def _hold(job: dict[str, Any], incoming: int, outgoing: int, report: int) -> NoReturn:
    try:
        _confined(job, report)
        os.dup2(2, 0)
        program = compiled(job["program"], "program")
        os.write(report, b"+")
        os.close(report)
        hold(program, incoming, outgoing)
        os._exit(0)
    finally:
        os._exit(1)


def _confined(job: dict[str, Any], report: int) -> None:
    try:
        confine(job)
        os.write(report, b"+")
    except BaseException as error:
        os.write(report, f"!{error}".encode("utf-8", "replace"))
        os._exit(1)
