"""What the CLM says greedily from each place of a job, and what it may say instead.

At each token the CLM's choice is known from one pass. Where it is right, the continuation is that
token and then the continuation from the next place; so only mismatches are generated, from the
cached keys and values of the prefix, and nothing is approximated.

Where the choice hangs on less than the CLM's numerical noise, three paths are followed: the choice
as it was seen, every such choice for the truth, and every one against it. Where two wrong
tokens are as likely, or a choice of a generated continuation hangs on noise, the first such is
followed the other way too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from erasetest.clm import Clm, Continuation, continuations
from erasetest.clm.numerical_noise import logit_noise
from erasetest.probes.extraction_likelihood import chain, first_mismatches, mismatches
from erasetest.probes.token_spans import TokenSpan


@dataclass(slots=True, repr=False)
class Path:
    """One way that the greedy choices of a job may fall."""

    job: TokenSpan
    greedy: tuple[int, ...]
    """The choice at each token, given the true tokens before it."""
    continuations: dict[int, list[int]] = field(default_factory=dict)
    """From each place that was asked for: what follows, to the job's end or the end of text."""
    others: dict[int, list[int]] = field(default_factory=dict)
    """The same with the other token at the first tie of each continuation."""


def decode_paths(
    clm: Clm, jobs: Sequence[TokenSpan], starts: int | None = None
) -> list[list[Path]]:
    """The paths of each job, the one that was seen first, with their continuations.

    With `starts`, from that many places spread evenly over each job instead of from all.
    """
    noise = logit_noise(clm)
    paths = [_paths(job, noise) for job in jobs]
    wanted: list[Continuation] = []
    owners: list[tuple[Path, int]] = []
    others: list[tuple[Path, int, int]] = []
    for row, (job, mine) in enumerate(zip(jobs, paths, strict=True)):
        places = spread(len(job.truth), starts)
        for path in mine:
            for i in first_mismatches(mismatches(path.greedy, job.truth, clm.end_tokens), places):
                owners.append((path, i))
                wanted.append(_from(clm, row, job, i, path.greedy[i]))
                other = job.found.runners_up[i]
                wrong = path.greedy[i] == job.found.greedy[i] and other != job.truth[i]
                if wrong and job.found.leads[i] < noise:
                    others.append((path, i, row))
    wanted += [_from(clm, row, p.job, i, p.job.found.runners_up[i]) for p, i, row in others]
    rows_of_ids = [job.ids for job in jobs]
    ties = _Ties(noise)
    said = continuations(clm, rows_of_ids, wanted, choose=ties)
    turned = _the_other_way(clm, rows_of_ids, wanted, said, ties.first)
    for number, (path, i) in enumerate(owners):
        begin = _begin(clm, path.greedy[i])
        path.continuations[i] = [*begin, *said[number]]
        path.others[i] = [*begin, *turned.get(number, said[number])]
    for number, (path, i, _) in enumerate(others, len(owners)):
        path.others[i] = [*_begin(clm, path.job.found.runners_up[i]), *said[number]]
    for job, mine in zip(jobs, paths, strict=True):
        places = spread(len(job.truth), starts)
        for path in mine:
            path.continuations = chain(job.truth, path.continuations, places)
            path.others = chain(job.truth, path.others, places)
    return paths


def _begin(clm: Clm, token: int) -> list[int]:
    return [] if token in clm.end_tokens else [token]


def _from(clm: Clm, row: int, job: TokenSpan, place: int, token: int) -> Continuation:
    """What follows a token at a place of a job, to the job's end."""
    rest = len(job.truth) - place - 1 if _begin(clm, token) else 0
    return Continuation(row, job.first + place, rest, token)


def spread(length: int, count: int | None) -> list[int]:
    """`count` of the places 0 .. length - 1, spread evenly, the first and last among them."""
    if count is None or count >= length:
        return list(range(length))
    return sorted({round(i * (length - 1) / max(1, count - 1)) for i in range(count)})


class _Ties:
    """Chooses greedily, and remembers of each job the first choice that hangs on noise."""

    def __init__(self, noise: float) -> None:
        self._noise = noise
        self.first: dict[int, tuple[int, int]] = {}
        """By job: the step, and the token that was as likely."""

    def __call__(self, logits: torch.Tensor, jobs: list[int], step: int) -> torch.Tensor:
        best = logits.topk(2)
        chosen: torch.Tensor = best.indices[:, 0]
        close = best.values[:, 0] - best.values[:, 1] < self._noise
        for place in close.nonzero().flatten().tolist():
            self.first.setdefault(jobs[place], (step, int(best.indices[place, 1])))
        return chosen


def _the_other_way(
    clm: Clm,
    rows: Sequence[tuple[int, ...]],
    jobs: Sequence[Continuation],
    said: Sequence[list[int]],
    ties: dict[int, tuple[int, int]],
) -> dict[int, list[int]]:
    """By number of a job with a tie: its continuation with the other token there."""
    turned: dict[int, list[int]] = {}
    prefixes: list[list[int]] = []
    owners: list[int] = []
    for number, (step, other) in ties.items():
        job, tokens = jobs[number], said[number]
        # A job that is over may sit in its batch for some steps more.
        if step > len(tokens) or step >= job.tokens:
            continue
        turned[number] = tokens[:step]
        if other not in clm.end_tokens:
            turned[number].append(other)
            prefixes.append([*job.read(rows[job.row]), *turned[number]])
            owners.append(number)
    rest = [
        Continuation(place, len(prefix), jobs[number].tokens - len(turned[number]))
        for place, (prefix, number) in enumerate(zip(prefixes, owners, strict=True))
    ]
    for number, tokens in zip(owners, continuations(clm, prefixes, rest), strict=True):
        turned[number] += tokens
    return turned


def _paths(job: TokenSpan, noise: float) -> list[Path]:
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
