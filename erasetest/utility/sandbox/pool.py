"""Many programs, several at a time."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from erasetest.errors import SandboxError
from erasetest.utility.sandbox.layers import sandbox_layers
from erasetest.utility.sandbox.limits import Limits
from erasetest.utility.sandbox.process import Attempt, ProcessRunner
from erasetest.utility.sandbox.programs import Program

_LEAST = (
    ("limits",),
    ("privileges",),
    ("files", "landlock"),
    ("files", "system calls"),  # Landlock knows no modes and times of files
    ("network", "system calls"),
    ("processes", "system calls"),
)


def run_programs(
    programs: Sequence[Program],
    *,
    limits: Limits | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    unsafe: bool = False,
) -> list[Attempt]:
    """Run programs, each in a process of its own, and say how each ended, in their order.

    Identical programs are run once. A program that runs out of time, which may be the fault of a
    busy machine (it makes CPU time longer too), is run once more, alone, after the others.

    Args:
        programs: see `Program`.
        limits: what each may use; None for the defaults of `Limits`.
        workers: how many run at a time; None for one a CPU.
        progress: called with the number of programs done and the number of all.
        unsafe: run them even where less holds than `required_layers` asks for.

    Raises:
        SandboxError: see `required_layers`; or a program could not be run twice.
    """
    layers = required_layers(unsafe=unsafe)
    workers = workers or os.cpu_count() or 1
    runner = ProcessRunner(limits or Limits(), layers, workers)
    counts = Counter(programs)
    attempts: dict[Program, Attempt] = {}
    done = 0

    def settle(program: Program, attempt: Attempt) -> None:
        nonlocal done
        attempts[program] = attempt
        done += counts[program]
        if progress is not None:
            progress(done, len(programs))

    doubtful: list[Program] = []
    executor = ThreadPoolExecutor(workers, thread_name_prefix="erasetest-sandbox")
    futures = {executor.submit(runner.run, program): program for program in counts}
    try:
        for future in as_completed(futures):
            attempt = future.result()
            if attempt.settled:
                settle(futures[future], attempt)
            else:
                doubtful.append(futures[future])
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        runner.stop()
        executor.shutdown()
        runner.close()
        raise
    executor.shutdown()
    with runner:
        for program in doubtful:
            settle(program, _final(runner.run(program)))
    return [attempts[program] for program in programs]


def required_layers(*, unsafe: bool = False) -> tuple[str, ...]:
    """The layers that programs will run under.

    The least is: bounded in time and memory, without privileges, kept from the files of this
    machine (by either of two layers), and from its network and its other processes.

    Raises:
        SandboxError: less than that holds, and not `unsafe`.
    """
    layers = sandbox_layers()
    missing = [
        " or ".join(repr(layer) for layer in group)
        for group in _LEAST
        if not set(group) & set(layers)
    ]
    if missing and not unsafe:
        held = ", ".join(layers) or "none"
        raise SandboxError(
            "generated programs are not run: of the sandbox's layers this machine lacks "
            f"{'; '.join(missing)} (held: {held}): use Linux 5.13 or later with libseccomp, or a "
            "machine that you can throw away and --unsafe-execution"
        )
    return layers


def _final(attempt: Attempt) -> Attempt:
    if attempt.fault is not None:
        raise SandboxError(f"a generated program could not be run: {attempt.fault}")
    return attempt
