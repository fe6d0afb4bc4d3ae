"""From a CLM and problems to a score: generate completions, run them, count what passed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from erasetest.clm import Clm
from erasetest.samples import SensitiveSample
from erasetest.support.progress import Progress
from erasetest.utility.generation import generate
from erasetest.utility.held_out_nll import held_out_likelihood
from erasetest.utility.problems import Problem
from erasetest.utility.sampling import Sampling
from erasetest.utility.sandbox import Limits
from erasetest.utility.sandbox.pool import required_layers
from erasetest.utility.score_journal import ScoreJournal
from erasetest.utility.scoring import Tally, UtilityScore, score_completions

_BLOCK_COMPLETIONS = 512
"""Completions that are generated before their programs are run and their counts are saved."""


def evaluate(
    clm: Clm,
    problems: Sequence[Problem],
    sampling: Sampling,
    progress: Callable[[int, int, str], None] | None = None,
    *,
    unsafe: bool = False,
    greedy: bool = False,
    held_out: Sequence[SensitiveSample] = (),
    journal: Path | None = None,
    limits: Limits | None = None,
) -> UtilityScore:
    """Generate completions and run them, a block of problems at a time.

    The sandbox is checked first: without it no completion is generated. The problems are not
    checked here; `check_problems` does that.

    Args:
        clm: the CLM.
        problems: P problems.
        sampling: how completions are sampled.
        progress: called with the number of finished steps, the number of all, and the current
            phase. A completion is two steps: generating it and running it.
        unsafe: run programs even if fewer layers of the sandbox are available than is safe.
        greedy: evaluate one greedy completion of each problem too.
        held_out: texts whose likelihood is measured.
        journal: file that saves counts of finished problems, never completions, so that a run that
            was killed resumes; deleted at the end. None saves nothing.
        limits: what each program may use; None for the defaults of `Limits`.

    Raises:
        SandboxError: this machine cannot run generated programs safely, and not `unsafe`.
        BadInput: a prompt does not fit the CLM's window.
    """
    layers = required_layers(unsafe=unsafe)
    samplings = [sampling] + [replace(sampling, samples=1, temperature=0.0)] * greedy
    total = 2 * len(problems) * sum(each.samples for each in samplings)
    done = 0

    def reporter(phase: str, steps: int) -> Progress:
        before = done

        def report(count: int, _of: int) -> None:
            nonlocal done
            done = before + count * steps
            if progress is not None:
                progress(done, total, phase)

        return report

    saved = ScoreJournal(journal, _journal_key(clm, problems, samplings, limits))
    tallies: list[list[Tally]] = []
    for number, each in enumerate(samplings):
        tallies.append([])
        block_size = max(1, _BLOCK_COMPLETIONS // each.samples)
        for start in range(0, len(problems), block_size):
            block = problems[start : start + block_size]
            counted = saved.read(number, block)
            if counted is None:
                texts = generate(clm, block, each, reporter("generating", 1), first=start)
                counted = list(
                    score_completions(block, texts, limits=limits, unsafe=unsafe).tallies
                )
                saved.append(number, counted)
                reporter("running", each.samples)(len(block), len(block))
            else:
                reporter("resuming", 2 * each.samples)(len(block), len(block))
            tallies[-1] += counted
    score = UtilityScore(
        sampling.samples,
        tallies[0],
        layers,
        tuple(tallies[1]) if greedy else (),
        held_out_likelihood(clm, held_out) if held_out else {},
        {"completions": "generated", **sampling.as_dict(), "stop": stops(problems)},
    )
    saved.delete()
    return score


def stops(problems: Sequence[Problem]) -> list[list[str]]:
    """Return the distinct sets of stop sequences of the problems."""
    return [list(stop) for stop in dict.fromkeys(problem.stop for problem in problems)]


def _journal_key(
    clm: Clm, problems: Sequence[Problem], samplings: Sequence[Sampling], limits: Limits | None
) -> str:
    """Return a hash of everything that tallies depend on."""
    parts: list[Any] = [clm.fingerprint, str(clm.model.dtype), clm.device.type, repr(limits)]
    parts.append([each.as_dict() for each in samplings])
    parts += [
        [each.task_id, each.prompt, each.test, each.known, each.entry_point, each.setup, each.stop]
        for each in problems
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
