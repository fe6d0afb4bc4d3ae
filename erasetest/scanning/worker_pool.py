"""Many processes that each do a part of the work, in order, and whose death loses nothing."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Generic, TypeVar

from erasetest.errors import BadInput

Job = TypeVar("Job")
Result = TypeVar("Result")

_AHEAD = 3
"""Jobs a process that are under way or waiting, so that memory stays small."""


class Died(Exception):
    """A process ended in the middle of what it was asked for."""


Ask = Callable[..., Any]
"""Calls a function of a module in a process of its own; raises `Died` where that ends it."""


def in_order(
    work: Callable[[Job], Result],
    jobs: Iterable[Job],
    processes: int,
    *,
    dead: Callable[[Job, Ask], Result],
    prepare: Callable[..., object] | None = None,
    given: tuple[Any, ...] = (),
) -> Iterator[Result]:
    """The results of all jobs, in their order.

    Args:
        work: a function of a module, called in other processes.
        jobs: what it is called with; taken as they are needed.
        processes: how many; 1 is this one.
        dead: makes the result of a job that ends the process which does it.
        prepare: called once in each process, with `given`.
        given: what `prepare` is called with.

    Raises:
        BadInput: the processes do not start.
    """
    if processes == 1:
        if prepare is not None:
            prepare(*given)
        yield from map(work, jobs)
        return
    others = set(multiprocessing.active_children())
    crew = _Crew(work, processes, dead, (prepare, given))
    try:
        for job in jobs:
            crew.begin(job)
            if len(crew.waiting) >= _AHEAD * processes:
                yield crew.next()
        while crew.waiting:
            yield crew.next()
    except BaseException:
        # Nobody waits for what they are doing: what was kept stays, and the rest is done again.
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        crew.pool.shutdown(wait=True, cancel_futures=True)


class _Crew(Generic[Job, Result]):
    def __init__(
        self,
        work: Callable[[Job], Result],
        processes: int,
        dead: Callable[[Job, Ask], Result],
        beginning: tuple[Callable[..., object] | None, tuple[Any, ...]],
    ) -> None:
        self.work, self.processes, self.dead = work, processes, dead
        self.beginning = beginning
        self.waiting: deque[tuple[Job, Future[Result]]] = deque()
        self.pool = self._started(processes)

    def _started(self, processes: int) -> ProcessPoolExecutor:
        # Started afresh: a copy of this process could hold locks of its other threads.
        context = multiprocessing.get_context("spawn")
        try:
            pool = ProcessPoolExecutor(processes, context, _begin, self.beginning)
            pool.submit(os.getpid).result()
        except BrokenProcessPool:
            raise BadInput(
                "the processes that scan do not start: scan in one (--processes 1) if there is too "
                "little memory; a script that asks for several must begin its work below "
                "`if __name__ == '__main__':`"
            ) from None
        except OSError as error:
            # Their locks are files in /dev/shm, and each process takes some descriptors.
            raise BadInput(
                f"{processes} processes that scan cannot be started ({error.strerror}): scan in "
                "one (--processes 1)"
            ) from None
        return pool

    def begin(self, job: Job) -> None:
        """Have a job done."""
        self.waiting.append((job, self._submitted(job)))

    def next(self) -> Result:
        """What came of the job that was begun first."""
        job, future = self.waiting.popleft()
        try:
            return future.result()
        except BrokenProcessPool:
            self.pool.shutdown(wait=True, cancel_futures=True)
        # Some job ended a process, and all that were under way fell with it: this one again, alone.
        with _Alone(self._started) as alone:
            try:
                result: Result = alone.ask(self.work, job)
            except Died:
                result = self.dead(job, alone.ask)
        self.pool = self._started(self.processes)
        self.waiting = deque((other, self._submitted(other)) for other, _ in self.waiting)
        return result

    def _submitted(self, job: Job) -> Future[Result]:
        try:
            return self.pool.submit(self.work, job)
        except BrokenProcessPool as broken:
            # It fell before; whose turn comes first finds out, and all that wait are begun again.
            future: Future[Result] = Future()
            future.set_exception(broken)
            return future


class _Alone:
    """One process, and another when it ends."""

    def __init__(self, started: Callable[[int], ProcessPoolExecutor]) -> None:
        self._started = started
        self._pool = started(1)

    def __enter__(self) -> _Alone:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def ask(self, function: Callable[..., Any], *given: Any) -> Any:
        try:
            return self._pool.submit(function, *given).result()
        except BrokenProcessPool:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = self._started(1)
            raise Died from None


def _begin(prepare: Callable[..., object] | None, given: tuple[Any, ...]) -> None:
    # Whoever interrupts the command interrupts all of its processes; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if prepare is not None:
        prepare(*given)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
