"""Speed of the sandbox and of generation, and HumanEval's solutions on a busy machine.

    python benchmarks/utility.py [--problems HumanEval.jsonl.gz] [-o benchmarks/results/utility.md]

The two sides of a ratio run alternately, so that the load of the machine affects both.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import torch
from tabulate import tabulate

from erasetest.clm import Clm, LoadOptions, load_clm
from erasetest.clm.batching import pad_right
from erasetest.demo.build import FAMILIES, demo_clm, demo_problems
from erasetest.support.torch_environment import quiet, silence_transformers
from erasetest.utility import Problem, read_problems, score_completions
from erasetest.utility.generation import aligned_prompt, generate
from erasetest.utility.sampling import Sampling
from erasetest.utility.sandbox import Limits, Program, sandbox_layers
from erasetest.utility.sandbox.process import ProcessRunner

ROUNDS = 7
"""Number of pairs of runs that a ratio is the median of."""

PROGRAMS = 100
"""Number of programs per round."""

BUSY_SECONDS = 120
"""How long the processes run that keep the machine busy."""


def main() -> None:
    """Measure, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/results/utility.md"))
    parser.add_argument("--problems", type=Path)
    asked = parser.parse_args()
    quiet()
    silence_transformers()
    parts = [f"# Utility, measured\n\n{platform.machine()}, "]
    parts.append(f"{os.cpu_count()} CPUs, torch {torch.__version__}\n")
    parts += ["## Programs\n", programs(), "## Completions\n", completions()]
    if asked.problems:
        parts += ["## HumanEval's own solutions, every CPU busy\n", busy(asked.problems)]
    asked.output.write_text("\n".join(parts) + "\n", encoding="utf-8")
    print(asked.output.read_text())


def _ratios(ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[float, float, float]:
    """Return the medians of both and of the ratios of the rounds, in which both alternate."""
    rows = [(ours(), theirs()) for _ in range(ROUNDS)]
    own, other = (statistics.median(column) for column in zip(*rows, strict=True))
    return own, other, statistics.median(mine / their for mine, their in rows)


def programs() -> str:
    """Measure programs per second under two sets of layers, and bare starts of Python."""
    workers = os.cpu_count() or 1
    bare_start = [os.path.realpath(sys.executable), "-I", "-S", "-c", "pass"]
    program = Program("def f(x):\n    return x + 1\n", "assert f(1) == 2\nassert f(5) == 6", ("f",))

    def rate(run: Callable[[], object]) -> float:
        with ThreadPoolExecutor(workers) as pool:
            start = time.monotonic()
            list(pool.map(lambda _: run(), range(PROGRAMS)))
            return PROGRAMS / (time.monotonic() - start)

    rows = []
    for layers in (sandbox_layers(), ("limits", "privileges", "system calls", "landlock")):
        with ProcessRunner(Limits(), layers, workers) as runner:
            ours, bare, ratio = _ratios(
                lambda runner=runner: rate(lambda: runner.run(program)),  # type: ignore[misc]
                lambda: rate(lambda: subprocess.run(bare_start, check=True)),
            )
        rows.append([", ".join(layers), ours, bare, ratio])
    headers = ["layers", "programs/s", "bare `python -I -S -c pass` /s", "ratio (goal 0.4)"]
    return tabulate(rows, headers, tablefmt="github", floatfmt=".2f") + "\n"


def completions() -> str:
    """Measure completions per second, and those of `generate` of transformers."""
    problems = [
        Problem(row["task_id"], row["prompt"], row["test"], row["entry_point"])
        for row in demo_problems()[:16]
    ]
    sampling = Sampling(samples=20, max_tokens=48)
    # Without stop sequences, so that no row ends early on either side.
    endless = [Problem(p.task_id, p.prompt, p.test, p.entry_point, stop=()) for p in problems]

    def timed(work: Callable[[], object]) -> float:
        start = time.monotonic()
        work()
        return len(problems) * sampling.samples / (time.monotonic() - start)

    rows = []
    for family in FAMILIES:
        clm = load_clm(str(demo_clm(family)), LoadOptions())
        ours = partial(generate, clm, endless, sampling)
        with_stops = partial(generate, clm, problems, sampling)
        theirs = partial(_by_library, clm, endless, sampling)
        row = _ratios(partial(timed, ours), partial(timed, theirs))
        rows.append([family, *row, statistics.median(timed(with_stops) for _ in range(3))])
    headers = ["demo CLM", "completions/s", "transformers /s", "ratio (goal 1)", "with stops /s"]
    note = f"{len(problems)} problems, {sampling.samples} samples, {sampling.max_tokens} tokens."
    return tabulate(rows, headers, tablefmt="github", floatfmt=".2f") + f"\n\n{note}\n"


def _by_library(clm: Clm, problems: list[Problem], sampling: Sampling) -> None:
    for problem in problems:
        ids = pad_right([aligned_prompt(clm, problem.prompt)[0]], 0, clm.device)
        clm.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=True,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=0,
            max_new_tokens=sampling.max_tokens,
            num_return_sequences=sampling.samples,
            pad_token_id=clm.start_token,
        )


def busy(path: Path) -> str:
    """Score HumanEval's solutions while every CPU is kept busy by another process."""
    problems = read_problems(path)
    count = f"import time; end = time.time() + {BUSY_SECONDS}\nwhile time.time() < end: pass"
    others = [subprocess.Popen([sys.executable, "-c", count]) for _ in range(os.cpu_count() or 1)]
    start = time.monotonic()
    score = score_completions(
        problems, [[problem.canonical_solution or ""] for problem in problems]
    )
    seconds = time.monotonic() - start
    still = sum(other.poll() is None for other in others)
    for other in others:
        other.kill()
    return f"{score.outcomes}, {seconds:.1f} s; {still} of {len(others)} were busy to the end\n"


if __name__ == "__main__":
    main()
