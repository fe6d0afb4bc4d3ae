"""Runs programs and their tests, each in a process of its own, under limits.

Forks of this process do the work, so that none of what it costs to start an interpreter is spent
on a program; and what this process imports is little, so that its forks are light.

Three processes serve a program. The *supervisor* runs no line of it: it leaves for new namespaces,
forks the other two, keeps the wall clock, kills what is left, and says how they ended. The *tester*
is forked first, and is the init process of the new process namespace, so that nothing survives it.
The *holder* holds the program.

Standard input carries two jobs for each, marshalled, behind their lengths in 4 bytes (`process.py`
says what stands in them). The second, with the test and the nonce that stands for "passed", is read
by the tester alone. Standard output carries one line for each: `fault REASON`, or `ended` and, for
the tester and then for the holder, a wait status and CPU seconds; then the largest resident set in
KiB; whether the wall clock ran out, the program is Python, and the second job was read, 1 or 0; and
what the tester reported, in hex.
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
    """Run job after job, and say how each ended, until there are no more."""
    gc.freeze()  # objects that no collection visits are not copied in the forks
    while True:
        try:
            job = _read_job()
        except EOFError:
            return
        server = os.getpid()
        heard, say = os.pipe()
        supervisor = os.fork()
        if supervisor == 0:
            os.close(heard)
            _supervise(job, server, say)
        os.close(say)
        _wait_or_be_left(supervisor)
        status = os.waitpid(supervisor, 0)[1]
        # Only now: nothing is left of a program when its end is told.
        said = (
            os.read(heard, 1 << 16) or f"fault the supervisor ended with status {status}".encode()
        )
        os.close(heard)
        os.write(1, said.replace(b"\n", b" ") + b"\n")


def _wait_or_be_left(supervisor: int) -> None:
    """Until the supervisor has ended; if nobody waits for what it says, it is told to end."""
    if not LINUX:
        return
    try:
        ended = os.pidfd_open(supervisor)
    except OSError:  # some containers refuse it: the supervisor's own limits end it then
        return
    waits = select.poll()
    waits.register(ended, select.POLLIN)
    waits.register(0, 0)  # an event only if the other end is closed
    if all(descriptor != ended for descriptor, _ in waits.poll()):
        _kill(os.kill, supervisor, signal.SIGTERM)
    os.close(ended)


def _supervise(job: bytes, server: int, say: int) -> NoReturn:
    try:
        if LINUX:
            prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != server:  # it ended before that
            os._exit(1)
        said = _Supervisor(marshal.loads(job), say).run()
    except OSError as error:
        said = f"fault {error}"
    try:
        os.write(say, said.encode("utf-8", "replace"))
    finally:
        os._exit(0)


def _read_job() -> bytes:
    return _read(int.from_bytes(_read(4), "big"))


def _read(size: int) -> bytes:
    """Exactly `size` bytes of standard input: what follows them is for somebody else."""
    data = bytearray()
    while len(data) < size:
        more = os.read(0, size - len(data))
        if not more:
            raise EOFError
        data += more
    return bytes(data)


# ---- the supervisor ----


class _Supervisor:
    """Forks, waits, kills."""

    def __init__(self, job: dict[str, Any], say: int) -> None:
        self._job = job
        self._say = say
        self._children: list[int] = []
        self._ended: dict[int, tuple[int, float]] = {}
        self._peak = 0
        self._stopped_by: list[int] = []

    def run(self) -> str:
        """Run the program and its test; nothing of them is left when this returns."""
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
            _close(questions[0], answers[1], reported, self._say)
            _test(self._job, answers[0], questions[1], report)
        os.close(report)
        # The tester's memory is closed to others before there are others.
        heard = os.read(reported, 1)
        holder_reported, holder_report = os.pipe()
        holder = self._fork() if heard == b"+" else tester
        if holder == 0:
            _close(questions[1], answers[0], reported, holder_reported, self._say)
            _hold(self._job, questions[0], answers[1], holder_report)
        _close(0, holder_report, *questions, *answers)
        self._wait(tester, holder)
        return self._ending(tester, holder, heard + _said(reported), _said(holder_reported))

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
        """Until the tester has ended; the holder ends then, and nothing of either is left."""
        signal.setitimer(signal.ITIMER_REAL, self._job["wall_seconds"])
        while tester not in self._ended:
            ended = self._reap(0)
            if ended == holder:
                # What it left running may hold its end of the pipe, and the tester would wait.
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
        """Kill whatever is left running, round after round until nothing is."""
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
                # Waits where there is something to wait for, so the rounds end when the dead do.
                if self._reap(0 if children else os.WNOHANG) in (0, spare):
                    return
            except ChildProcessError:
                return

    def _ending(self, tester: int, holder: int, tester_said: bytes, holder_said: bytes) -> str:
        # The mark is written before the program's first line runs, so no program fakes a fault.
        # A test that ends early takes the holder along, which may then have said nothing yet.
        early = tester_said.startswith(b"++") and not holder_said
        for said in (tester_said,) if holder == tester or early else (tester_said, holder_said):
            if not said.startswith(b"+") and not self._stopped_by:
                reason = said[1:].decode("utf-8", "replace") or "it was killed before its start"
                return f"fault {reason}"
        ends = [self._ended.get(child, (9, 0.0)) for child in (tester, holder)]
        words = " ".join(f"{status} {cpu_seconds:.3f}" for status, cpu_seconds in ends)
        out_of_time = signal.SIGALRM in self._stopped_by
        marks = (out_of_time, holder_said[1:2] == b"+", tester_said[1:2] == b"+")
        nonce = tester_said[2:].removeprefix(b"=").hex()
        return f"ended {words} {self._peak} {' '.join(str(int(m)) for m in marks)} {nonce}"


def _guard_supervisor() -> None:
    if not LINUX:
        return
    # Of processes that the program started and left, the supervisor becomes the parent.
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    # Where the program runs as the same user, it must not attach to its supervisor.
    prctl(PR_SET_DUMPABLE, 0)


def _said(reported: int) -> bytes:
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
        mine = marshal.loads(_read_job())
        os.write(report, b"+")
        os.dup2(2, 0)
        if test(mine, incoming, outgoing):
            os.write(report, b"=" + mine["nonce"])
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
