"""From a CLM and problems to a score: write completions, run them, count."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from erasetest.clm import Clm
from erasetest.samples import SensitiveSample
from erasetest.utility.generation import generate
from erasetest.utility.held_out_nll import held_out_likelihood
from erasetest.utility.problems import Problem
from erasetest.utility.sampling import Sampling
from erasetest.utility.sandbox import Limits
from erasetest.utility.sandbox.pool import required_layers
from erasetest.utility.score_journal import ScoreJournal
from erasetest.utility.scoring import Tally, UtilityScore, score_completions

_ROWS = 512
"""Completions that are written before their programs are run, and kept as numbers."""


def measure(
    clm: Clm,
    problems: Sequence[Problem],
    sampling: Sampling,
    progress: Callable[[int, int, str], None] | None = None,
    *,
    unsafe: bool = False,
    greedy: bool = False,
    held_out: Sequence[SensitiveSample] = (),
    kept: Path | None = None,
    limits: Limits | None = None,
) -> UtilityScore:
    """Generate completions and run them, some problems at a time.

    The sandbox is asked for first: without it nothing is written. The problems are taken as they
    are: `check_problems` says whether they can judge a program. What is known of a problem is kept
    in the file `kept`, if given, so that a run that was killed goes on from there; it goes when all
    is known.

    Args:
        clm: the CLM.
        problems: P problems.
        sampling: how completions are drawn.
        progress: called with the completions done, those of all, and what is being done.
        unsafe: run programs even where less of the sandbox holds than is asked for.
        greedy: measure one greedy completion of each problem too.
        held_out: texts whose likelihood is measured.
        kept: where tallies are kept; completions are not.
        limits: what each program may use; None for the defaults of `Limits`.

    Raises:
        SandboxError: this machine cannot run generated programs safely, and not `unsafe`.
        BadInput: a prompt does not fit the CLM's window.
    """
    layers = required_layers(unsafe=unsafe)
    asked = [sampling] + [replace(sampling, samples=1, temperature=0.0)] * greedy
    total = 2 * len(problems) * sum(each.samples for each in asked)
    done = 0

    def told(what: str, of: int) -> Callable[[int], None]:
        def tell(count: int) -> None:
            nonlocal done
            done += count * of
            if progress is not None:
                progress(done, total, what)

        return tell

    tallies = ScoreJournal(kept, _key(clm, problems, asked, limits))
    found: list[list[Tally]] = []
    for number, how in enumerate(asked):
        mine: list[Tally] = []
        block = max(1, _ROWS // how.samples)
        for start in range(0, len(problems), block):
            part = problems[start : start + block]
            known = tallies.of(number, part)
            if known is None:
                texts = generate(clm, part, how, told("writing", 1), first=start)
                score = score_completions(part, texts, limits=limits, unsafe=unsafe)
                known = list(score.tallies)
                tallies.keep(number, known)
                told("running", how.samples)(len(part))
            else:
                told("read from before", 2 * how.samples)(len(part))
            mine += known
        found.append(mine)
    score = UtilityScore(
        sampling.samples,
        found[0],
        layers,
        tuple(found[1]) if greedy else (),
        held_out_likelihood(clm, held_out) if held_out else {},
        {"completions": "generated", **sampling.to_json(), "stop": stops(problems)},
    )
    tallies.end()
    return score


def stops(problems: Sequence[Problem]) -> list[list[str]]:
    """The stop sequences of the problems, one list for each set of them."""
    return [list(stop) for stop in dict.fromkeys(problem.stop for problem in problems)]


def _key(
    clm: Clm, problems: Sequence[Problem], asked: Sequence[Sampling], limits: Limits | None
) -> str:
    """What tallies hang on."""
    parts: list[Any] = [clm.fingerprint, str(clm.model.dtype), clm.device.type, repr(limits)]
    parts.append([each.to_json() for each in asked])
    parts += [
        [each.task_id, each.prompt, each.test, each.known, each.entry_point, each.setup, each.stop]
        for each in problems
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
