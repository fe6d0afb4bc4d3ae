"""Worker processes that return results in order and survive the death of one of them."""

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

_JOBS_PER_PROCESS = 3
"""Maximum number of unfinished jobs per process; it limits the memory that jobs and results
take."""


class Died(Exception):
    """A worker process ended during a call."""


Ask = Callable[..., Any]
"""Calls a function of a module in a separate process; raises `Died` if the process ends."""


def in_order(
    work: Callable[[Job], Result],
    jobs: Iterable[Job],
    processes: int,
    *,
    on_death: Callable[[Job, Ask], Result],
) -> Iterator[Result]:
    """Yield the results of all jobs, in the order of the jobs.

    Args:
        work: a callable that can be pickled. It is sent to each process once, not with each job.
        jobs: its arguments, consumed as they are needed.
        processes: number of processes; 1 works in this one.
        on_death: returns the result of a job that ends the process which works on it, twice.

    Raises:
        BadInput: the processes do not start.
    """
    if processes == 1:
        yield from map(work, jobs)
        return
    others = set(multiprocessing.active_children())
    pool = _WorkerPool(work, processes, on_death)
    try:
        for job in jobs:
            pool.submit(job)
            if len(pool.waiting) >= _JOBS_PER_PROCESS * processes:
                yield pool.next_result()
        while pool.waiting:
            yield pool.next_result()
    except BaseException:
        # No one waits for the unfinished jobs any more.
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.executor.shutdown(wait=True, cancel_futures=True)


class _WorkerPool(Generic[Job, Result]):
    """Executes jobs in several processes and restarts them when one of them dies."""

    def __init__(
        self,
        work: Callable[[Job], Result],
        processes: int,
        on_death: Callable[[Job, Ask], Result],
    ) -> None:
        self.work, self.processes, self.on_death = work, processes, on_death
        self.waiting: deque[tuple[Job, Future[Result]]] = deque()
        self.executor = self._start(processes)

    def _start(self, processes: int) -> ProcessPoolExecutor:
        # Not forked: a copy of this process could contain locks that its other threads hold.
        context = multiprocessing.get_context("spawn")
        try:
            executor = ProcessPoolExecutor(processes, context, _initialize, (self.work,))
            executor.submit(os.getpid).result()
        except BrokenProcessPool:
            raise BadInput(
                "the worker processes do not start: use one process (--processes 1) if there is "
                "too little memory; a script that uses several must start its work below "
                "`if __name__ == '__main__':`"
            ) from None
        except OSError as error:
            # Their locks are files in /dev/shm, and each process takes some file descriptors.
            raise BadInput(
                f"{processes} worker processes cannot be started ({error.strerror}): use one "
                "process (--processes 1)"
            ) from None
        return executor

    def submit(self, job: Job) -> None:
        """Add a job to the queue."""
        self.waiting.append((job, self._future(job)))

    def next_result(self) -> Result:
        """Wait for the result of the oldest job in the queue."""
        job, future = self.waiting.popleft()
        try:
            return future.result()
        except BrokenProcessPool:
            self.executor.shutdown(wait=True, cancel_futures=True)
        # A job ended its process, and with it the executor. Which one is unknown, so this job is
        # repeated in a separate process, and all others are submitted again.
        with _SingleWorker(self._start) as worker:
            try:
                result: Result = worker.ask(self.work, job)
            except Died:
                result = self.on_death(job, worker.ask)
        self.executor = self._start(self.processes)
        self.waiting = deque((other, self._future(other)) for other, _ in self.waiting)
        return result

    def _future(self, job: Job) -> Future[Result]:
        try:
            return self.executor.submit(_call_work, job)
        except BrokenProcessPool as broken:
            # The executor broke earlier; `next_result` notices it when it reaches this job.
            future: Future[Result] = Future()
            future.set_exception(broken)
            return future


class _SingleWorker:
    """One worker process, which is replaced when it dies."""

    def __init__(self, start: Callable[[int], ProcessPoolExecutor]) -> None:
        self._start = start
        self._executor = start(1)

    def __enter__(self) -> _SingleWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)

    def ask(self, function: Callable[..., Any], *given: Any) -> Any:
        try:
            return self._executor.submit(function, *given).result()
        except BrokenProcessPool:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = self._start(1)
            raise Died from None


_work: Callable[[Any], Any] | None = None
"""In a worker process, the callable that jobs are passed to."""


def _initialize(work: Callable[[Any], Any]) -> None:
    global _work
    _work = work
    # Ctrl-C reaches all processes of the command; the parent handles it and ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _call_work(job: Any) -> Any:
    assert _work is not None
    return _work(job)


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
