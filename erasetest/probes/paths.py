"""What the CLM says greedily from each place of a job, and what it may say instead.

At each token the CLM's choice is known from one pass. Where it is right, the continuation is that
token and then the continuation from the next place; so only mismatches are generated, from the
cached keys and values of the prefix, and nothing is approximated.

Where the choice hangs on less than the CLM's numerical noise, three paths are followed: the choice
as it was seen, every such choice for the truth, and every one against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from erasetest.clm import Clm, Continuation, continuations
from erasetest.clm.noise import logit_noise
from erasetest.probes.extraction_likelihood import chain, first_mismatches, mismatches
from erasetest.probes.jobs import Job


@dataclass(slots=True, repr=False)
class Path:
    """One way that the greedy choices of a job may fall."""

    job: Job
    greedy: tuple[int, ...]
    """The choice at each token, given the true tokens before it."""
    continuations: dict[int, list[int]] = field(default_factory=dict)
    """From each place that was asked for: what follows, to the job's end or the end of text."""


def follow(clm: Clm, jobs: Sequence[Job], starts: int | None = None) -> list[list[Path]]:
    """The paths of each job, the one that was seen first, with their continuations.

    With `starts`, from that many places spread evenly over each job instead of from all.
    """
    noise = logit_noise(clm)
    paths = [_paths(job, noise) for job in jobs]
    wanted: list[Continuation] = []
    owners: list[tuple[Path, int]] = []
    for row, (job, mine) in enumerate(zip(jobs, paths, strict=True)):
        places = spread(len(job.truth), starts)
        for path in mine:
            path.continuations = {place: [] for place in places}
            for i in first_mismatches(mismatches(path.greedy, job.truth, clm.end_tokens), places):
                owners.append((path, i))
                ends = path.greedy[i] in clm.end_tokens
                rest = 0 if ends else len(job.truth) - i - 1
                wanted.append(Continuation(row, job.first + i, rest, path.greedy[i]))
    said = continuations(clm, [job.ids for job in jobs], wanted)
    generated: dict[int, dict[int, list[int]]] = {}
    for (path, i), tokens in zip(owners, said, strict=True):
        begin = [] if path.greedy[i] in clm.end_tokens else [path.greedy[i]]
        generated.setdefault(id(path), {})[i] = [*begin, *tokens]
    for mine in paths:
        for path in mine:
            places = list(path.continuations)
            path.continuations = chain(path.job.truth, generated.get(id(path), {}), places)
    return paths


def spread(length: int, count: int | None) -> list[int]:
    """`count` of the places 0 .. length - 1, spread evenly, the first and last among them."""
    if count is None or count >= length:
        return list(range(length))
    return sorted({round(i * (length - 1) / max(1, count - 1)) for i in range(count)})


def _paths(job: Job, noise: float) -> list[Path]:
    seen = Path(job, job.found.greedy)
    doubtful = [i for i, margin in enumerate(job.found.margins) if abs(margin) < noise]
    if not doubtful:
        return [seen]
    knows, forgets = list(seen.greedy), list(seen.greedy)
    for i in doubtful:
        knows[i] = job.truth[i]
        if seen.greedy[i] == job.truth[i]:
            forgets[i] = job.found.runners_up[i]
    return [seen, Path(job, tuple(knows)), Path(job, tuple(forgets))]
