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
from typing import Any, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

_AHEAD = 3
"""Jobs a process that are under way or waiting, so that memory stays small."""


def in_order(
    work: Callable[[Job], Result],
    jobs: Iterable[Job],
    processes: int,
    *,
    dead: Callable[[Job], Result],
    prepare: Callable[..., object] | None = None,
    given: tuple[Any, ...] = (),
) -> Iterator[Result]:
    """The results of all jobs, in their order.

    Args:
        work: a function of a module, called in other processes.
        jobs: what it is called with; taken as they are needed.
        processes: how many; 1 is this one.
        dead: stands for the result of a job that ends the process which does it, twice.
        prepare: called once in each process, with `given`.
        given: what `prepare` is called with.
    """
    if processes == 1:
        if prepare is not None:
            prepare(*given)
        yield from map(work, jobs)
        return

    def pool(size: int) -> ProcessPoolExecutor:
        # Started afresh: a copy of this process could hold locks of its other threads.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(size, context, _begin, (prepare, given))

    workers = pool(processes)
    waiting: deque[tuple[Job, Future[Result]]] = deque()
    try:
        for job in jobs:
            waiting.append((job, _submitted(workers, work, job)))
            if len(waiting) >= _AHEAD * processes:
                done, workers = _next(waiting, workers, pool, processes, work, dead)
                yield done
        while waiting:
            done, workers = _next(waiting, workers, pool, processes, work, dead)
            yield done
    finally:
        workers.shutdown(wait=True, cancel_futures=True)


def _next(
    waiting: deque[tuple[Job, Future[Result]]],
    workers: ProcessPoolExecutor,
    pool: Callable[[int], ProcessPoolExecutor],
    processes: int,
    work: Callable[[Job], Result],
    dead: Callable[[Job], Result],
) -> tuple[Result, ProcessPoolExecutor]:
    job, future = waiting.popleft()
    try:
        return future.result(), workers
    except BrokenProcessPool:
        workers.shutdown(wait=True, cancel_futures=True)
    # Some job ended a process, and all that were under way fell with it: this one again, alone.
    with pool(1) as alone:
        try:
            result = alone.submit(work, job).result()
        except BrokenProcessPool:
            result = dead(job)
    workers = pool(processes)
    again = [(other, _submitted(workers, work, other)) for other, _ in waiting]
    waiting.clear()
    waiting.extend(again)
    return result, workers


def _submitted(
    workers: ProcessPoolExecutor, work: Callable[[Job], Result], job: Job
) -> Future[Result]:
    try:
        return workers.submit(work, job)
    except BrokenProcessPool as broken:
        # It fell before; whose turn comes first finds out, and all that wait are begun again.
        future: Future[Result] = Future()
        future.set_exception(broken)
        return future


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
