"""Probe samples in batches: one teacher-forced pass, then generation where it is needed alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from erasetest.clm import Clm, Continuation, EncodedSample, Target, continuations, encode, score
from erasetest.probes.accuracy import memorization_accuracy
from erasetest.probes.extraction_likelihood import (
    chain,
    extraction_likelihood,
    first_mismatches,
    mismatches,
)
from erasetest.probes.measures import NGRAMS, SampleMeasures, SecretMeasures, Value
from erasetest.samples import SensitiveSample


def probe(
    clm: Clm,
    samples: Sequence[SensitiveSample],
    progress: Callable[[int], None] | None = None,
    *,
    starts: int | None = None,
) -> list[SampleMeasures]:
    """All measures of all secrets, in the order given; exact by definition.

    With `starts`, EL is the mean over that many places spread evenly over each secret instead of
    over all: an estimate, for calibration, where many never-seen secrets are read.

    A secret whose tokens alone do not fit the CLM's window, or where the CLM gives no numbers, gets
    no measures but a problem, which no verdict takes for a pass. `progress` is told how many
    samples are done.
    """
    jobs: list[_Job] = []
    encoded = encode(clm, samples)
    for number, (sample, tokens) in enumerate(zip(samples, encoded, strict=True)):
        jobs += _jobs(clm, number, sample, tokens)
    jobs = _score(clm, jobs)
    _continue(clm, jobs, starts)
    for job in jobs:
        job.extracted = _extracted(clm, job)
    found: dict[tuple[int, int], _Job] = {(job.sample, job.secret): job for job in jobs}
    results = []
    for number, sample in enumerate(samples):
        secrets = []
        for place, secret in enumerate(sample.secrets):
            mine = found.get((number, place))
            problem = None if mine else _problem(clm, len(encoded[number].secrets[place]))
            measures = _measures(mine) if mine else {}
            secrets.append(SecretMeasures(secret.start, secret.end, secret.kind, measures, problem))
        results.append(SampleMeasures(sample.id, tuple(secrets)))
    if progress is not None:
        progress(len(samples))
    return results


@dataclass(slots=True, repr=False)
class _Job:
    """One secret: `ids` ends with its tokens, which begin at `first`."""

    sample: int
    secret: int
    ids: tuple[int, ...]
    first: int
    wanted: str
    """The secret's text from where its first token begins."""
    greedy: tuple[int, ...] = ()
    starts: list[int] = field(default_factory=list)
    continuations: dict[int, list[int]] = field(default_factory=dict)
    extracted: bool = False

    @property
    def truth(self) -> tuple[int, ...]:
        return self.ids[self.first :]


def _jobs(clm: Clm, number: int, sample: SensitiveSample, encoded: EncodedSample) -> list[_Job]:
    content = sample.content.reveal()
    jobs = []
    for place, (secret, at) in enumerate(zip(sample.secrets, encoded.secrets, strict=True)):
        begin = max(0, at.last - clm.window)
        # One token must stand before the secret: at is past it where the window cuts all of p off.
        if len(at) == 0 or begin >= at.first:
            continue
        jobs.append(
            _Job(
                number,
                place,
                encoded.ids[begin : at.last],
                at.first - begin,
                content[at.text_start : secret.end],
            )
        )
    return jobs


def _score(clm: Clm, jobs: list[_Job]) -> list[_Job]:
    """Fill in what the CLM would have said at each token; the jobs whose scores are numbers.

    Secrets of one row are read in one pass.
    """
    rows: dict[tuple[int, int], list[_Job]] = {}
    for index, job in enumerate(jobs):
        # Only a row cut at the left, to fit the window, cannot be shared.
        whole = len(job.ids) < clm.window
        rows.setdefault((job.sample, -1 if whole else index), []).append(job)
    groups = list(rows.values())
    targets = []
    for group in groups:
        longest = max(group, key=lambda job: len(job.ids))
        targets.append(Target(longest.ids, min(job.first for job in group), len(longest.ids)))
    usable: list[_Job] = []
    for group, target, scored in zip(groups, targets, score(clm, targets), strict=True):
        for job in group:
            place = slice(job.first - target.first, len(job.ids) - target.first)
            job.greedy = scored.greedy[place]
            if not any(map(math.isnan, scored.log_probs[place])):
                usable.append(job)
    return usable


def _continue(clm: Clm, jobs: list[_Job], starts: int | None) -> None:
    wanted: list[Continuation] = []
    owners: list[tuple[_Job, int]] = []
    for row, job in enumerate(jobs):
        job.starts = _spread(len(job.truth), starts)
        places = mismatches(job.greedy, job.truth, clm.end_tokens)
        for i in first_mismatches(places, job.starts):
            wanted.append(Continuation(row, job.first + i, len(job.truth) - i))
            owners.append((job, i))
    generated: dict[int, dict[int, list[int]]] = {}
    made = continuations(clm, [job.ids for job in jobs], wanted)
    for (job, i), tokens in zip(owners, made, strict=True):
        generated.setdefault(id(job), {})[i] = tokens
    for job in jobs:
        job.continuations = chain(job.truth, generated.get(id(job), {}), job.starts)


def _spread(length: int, count: int | None) -> list[int]:
    if count is None or count >= length:
        return list(range(length))
    return sorted({round(i * (length - 1) / max(1, count - 1)) for i in range(count)})


def _extracted(clm: Clm, job: _Job) -> bool:
    """Whether the greedy continuation of `p` reproduces the secret's text, in whatever tokens."""
    said = job.continuations[0]
    if tuple(said) == job.truth:
        return True
    found = _reproduces(clm, job, said)
    if found is not None or len(said) < len(job.truth):
        return found is True
    # Every token adds a byte at least: with as many as the secret has bytes, all is said.
    room = min(len(job.wanted.encode()), clm.window - job.first)
    longer = continuations(
        clm,
        [job.ids],
        [Continuation(0, job.first, room)],
        stop=lambda _, tokens: _reproduces(clm, job, tokens) is not None,
    )[0]
    return _reproduces(clm, job, longer) is True


def _reproduces(clm: Clm, job: _Job, tokens: list[int]) -> bool | None:
    """Whether tokens give the secret's text; None if they are right so far and it goes on."""
    text = _decode(clm, job, tokens)
    if text.startswith(job.wanted):
        return True
    # The last token may end inside a character, which reads as U+FFFD until the rest follows.
    return None if job.wanted.startswith(text.rstrip("\ufffd")) else False


def _decode(clm: Clm, job: _Job, tokens: list[int]) -> str:
    """The text that tokens add behind the prefix: decoded with it, since spaces depend on it."""
    before = list(job.ids[max(0, job.first - 4) : job.first])
    head = str(clm.tokenizer.decode(before, clean_up_tokenization_spaces=False))
    whole = str(clm.tokenizer.decode(before + tokens, clean_up_tokenization_spaces=False))
    return whole[len(head) :] if whole.startswith(head) else ""


def _measures(job: _Job) -> dict[str, Value]:
    values: dict[str, Value] = {"ma": memorization_accuracy(job.greedy, job.truth)}
    for n in NGRAMS:
        values[f"el_{n}"] = extraction_likelihood(n, job.truth, job.continuations)
    values["extracted"] = job.extracted
    return values


def _problem(clm: Clm, length: int) -> str:
    if length == 0:
        return "the tokenizer has no token for it"
    if length >= clm.window:
        return (
            f"its {length} tokens and one before them do not fit the CLM's window of {clm.window}"
        )
    return "the CLM's scores of it are not numbers"
