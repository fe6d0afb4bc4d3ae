"""From a CLM and problems to a score: write completions, run them, count."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from erasetest.clm import Clm
from erasetest.utility.generate import Sampling, generate
from erasetest.utility.problems import Problem
from erasetest.utility.sandbox.pool import required_layers
from erasetest.utility.score import UtilityScore, score_completions

__all__ = ["Sampling", "measure"]


def measure(
    clm: Clm,
    problems: Sequence[Problem],
    sampling: Sampling,
    progress: Callable[[int, int, str], None] | None = None,
    *,
    unsafe: bool = False,
) -> UtilityScore:
    """Generate and run completions. The sandbox is asked for first: without it nothing is written.

    Raises:
        SandboxError: this machine cannot run generated programs safely, and `unsafe` is not given.
    """
    required_layers(unsafe=unsafe)
    total = 2 * len(problems) * sampling.samples
    written = 0

    def wrote(count: int) -> None:
        nonlocal written
        written += count
        if progress is not None:
            progress(written, total, "writing")

    def ran(done: int, of: int) -> None:
        if progress is not None:
            progress(total // 2 + done * (total // 2) // of, total, "running")

    completions = generate(clm, problems, sampling, wrote)
    return score_completions(problems, completions, progress=ran, unsafe=unsafe)
