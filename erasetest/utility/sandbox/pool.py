"""Many programs, several at a time."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from erasetest.errors import SandboxError
from erasetest.utility.sandbox.layers import sandbox_layers
from erasetest.utility.sandbox.limits import Limits, Outcome
from erasetest.utility.sandbox.process import Attempt, ProcessRunner


def run_programs(
    programs: Sequence[str],
    *,
    limits: Limits | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    unsafe: bool = False,
) -> list[Outcome]:
    """Run programs, each in a process of its own, and say how each ended, in their order.

    Identical programs are run once. A program that runs out of wall time, which may be the fault of
    a busy machine, is run once more, alone, after the others.

    Args:
        programs: Python source. A program passes if it runs to its end.
        limits: what each may use; None for the defaults of `Limits`.
        workers: how many run at a time; None for one a CPU.
        progress: called with the number of programs done and the number of all.
        unsafe: run them even where no limit holds.

    Raises:
        SandboxError: this machine cannot limit a process, or a program could not be run twice.
    """
    layers = required_layers(unsafe=unsafe)
    workers = workers or os.cpu_count() or 1
    runner = ProcessRunner(limits or Limits(), layers, workers)
    counts = Counter(programs)
    outcomes: dict[str, Outcome] = {}
    done = 0

    def settle(program: str, outcome: Outcome) -> None:
        nonlocal done
        outcomes[program] = outcome
        done += counts[program]
        if progress is not None:
            progress(done, len(programs))

    doubtful: list[str] = []
    executor = ThreadPoolExecutor(workers, thread_name_prefix="erasetest-sandbox")
    futures = {executor.submit(runner.run, program): program for program in counts}
    try:
        for future in as_completed(futures):
            attempt = future.result()
            if attempt.settled:
                settle(futures[future], attempt.outcome)
            else:
                doubtful.append(futures[future])
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        runner.stop()
        raise
    finally:
        executor.shutdown()
    for program in doubtful:
        settle(program, _final(runner.run(program)))
    return [outcomes[program] for program in programs]


def required_layers(*, unsafe: bool = False) -> tuple[str, ...]:
    """The layers that programs will run under.

    Raises:
        SandboxError: "limits" is not among them, and not `unsafe`.
    """
    layers = sandbox_layers()
    if "limits" not in layers and not unsafe:
        raise SandboxError(
            "generated programs are not run: this machine cannot limit the memory and CPU time of "
            "a process: use Linux, or allow it with unsafe=True in a machine you can throw away"
        )
    return layers


def _final(attempt: Attempt) -> Outcome:
    if attempt.fault is not None:
        raise SandboxError(f"a generated program could not be run: {attempt.fault}")
    return attempt.outcome
