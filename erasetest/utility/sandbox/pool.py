"""Running many programs, several at a time."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from erasetest.errors import SandboxError
from erasetest.utility.sandbox.layers import sandbox_layers
from erasetest.utility.sandbox.process import ProcessRunner
from erasetest.utility.sandbox.programs import Attempt, Limits, Program

_REQUIRED = (
    ("limits",),
    ("privileges",),
    ("files", "landlock"),
    ("files", "system calls"),  # Landlock does not restrict changes of modes and times of files
    ("network", "system calls"),
    ("processes", "system calls"),
)
"""Groups of layers of which at least one each must be active."""


def run_programs(
    programs: Sequence[Program],
    *,
    limits: Limits | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    unsafe: bool = False,
) -> list[Attempt]:
    """Run each program in separate processes; return their results in the same order.

    Identical programs are run once. A program that times out is run again after the others, alone:
    the load of the machine may be the cause (it increases CPU time, too).

    Args:
        programs: the programs and their tests.
        limits: what each program may use; None for the defaults of `Limits`.
        workers: number of programs that run at a time; None for one per CPU.
        progress: called with the number of programs done and the number of all.
        unsafe: run programs even if fewer layers are active than `required_layers` requires.

    Raises:
        SandboxError: too few layers are active, or a program could not be run twice.
    """
    layers = required_layers(unsafe=unsafe)
    workers = workers or os.cpu_count() or 1
    runner = ProcessRunner(limits or Limits(), layers, workers)
    counts = Counter(programs)
    attempts: dict[Program, Attempt] = {}
    done = 0

    def finish(program: Program, attempt: Attempt) -> None:
        nonlocal done
        attempts[program] = attempt
        done += counts[program]
        if progress is not None:
            progress(done, len(programs))

    unsettled: list[Program] = []
    executor = ThreadPoolExecutor(workers, thread_name_prefix="erasetest-sandbox")
    futures = {executor.submit(runner.run, program): program for program in counts}
    try:
        for future in as_completed(futures):
            attempt = future.result()
            if attempt.settled:
                finish(futures[future], attempt)
            else:
                unsettled.append(futures[future])
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        runner.stop()
        executor.shutdown()
        runner.close()
        raise
    executor.shutdown()
    with runner:
        for program in unsettled:
            finish(program, _without_fault(runner.run(program)))
    return [attempts[program] for program in programs]


def required_layers(*, unsafe: bool = False) -> tuple[str, ...]:
    """Return the layers that programs will run under.

    Required are limits on time and memory, no privileges, and no access to the files of this
    machine, its network and its other processes; most of these can be met by one of two layers.

    Raises:
        SandboxError: a requirement is not met, and not `unsafe`.
    """
    layers = sandbox_layers()
    missing = [
        " or ".join(repr(layer) for layer in group)
        for group in _REQUIRED
        if not set(group) & set(layers)
    ]
    if missing and not unsafe:
        active = ", ".join(layers) or "none"
        raise SandboxError(
            "generated programs are not run: this machine lacks the sandbox layers "
            f"{'; '.join(missing)} (active: {active}): use Linux 5.13 or later with libseccomp, or "
            "a disposable machine and --unsafe-execution"
        )
    return layers


def _without_fault(attempt: Attempt) -> Attempt:
    if attempt.fault is not None:
        raise SandboxError(f"a generated program could not be run: {attempt.fault}")
    return attempt
