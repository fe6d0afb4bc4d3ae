"""Greedy continuations from each place of a token span, and what numerical ties can make of them.

One forward pass gives the CLM's choice at each token. Where the choice is right, the continuation
is that token followed by the continuation from the next place. So only the continuations that start
with a mismatch are generated (see `extraction_likelihood.chain`), and only as long as they can
contain a further n-gram of the secret, or its text. Nothing is approximated.

Two tokens are tied if their logits differ by less than the CLM's numerical noise: another batch or
machine may choose the other one. If true tokens are tied with others, three paths are decoded: the
observed choices, all ties resolved in favour of the true token, and all resolved against it. If two
wrong tokens are tied, or two tokens within a generated continuation, the first such tie is also
resolved the other way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from erasetest.clm import Clm, Continuation, continuations
from erasetest.clm.numerical_noise import logit_noise
from erasetest.probes.extraction import starts_with_secret
from erasetest.probes.extraction_likelihood import chain, first_mismatches, mismatches
from erasetest.probes.token_spans import TokenSpan


@dataclass(slots=True, repr=False)
class DecodingPath:
    """One way to resolve the ties of a span, with the continuations from its places."""

    span: TokenSpan
    greedy: tuple[int, ...]
    """The choice at each token of the span, given the true tokens before it."""
    continuations: dict[int, list[int]] = field(default_factory=dict)
    """By place in the span: the tokens that follow, up to the span's end, the end of text, or where
    no n-gram of the span can begin any more."""
    alternatives: dict[int, list[int]] = field(default_factory=dict)
    """The same, with the first tie of each continuation resolved the other way."""


@dataclass(slots=True, repr=False)
class _Request:
    """A continuation to generate for a place of a path, after a token that is chosen there."""

    path: DecodingPath
    row: int
    place: int
    token: int

    def continuation(self, clm: Clm, *, is_over: bool) -> Continuation:
        """Return the job that generates the tokens after `token`, up to the span's end."""
        span = self.path.span
        is_over |= self.token in clm.end_tokens
        rest = 0 if is_over else len(span.truth) - self.place - 1
        return Continuation(self.row, span.first + self.place, rest, self.token)

    def whole(self, clm: Clm, generated: list[int]) -> list[int]:
        """Return the continuation from the place: `token` and the generated tokens."""
        return [] if self.token in clm.end_tokens else [self.token, *generated]


def decode_paths(
    clm: Clm,
    spans: Sequence[TokenSpan],
    shortest: Sequence[int | None],
    starts: int | None = None,
) -> list[list[DecodingPath]]:
    """Decode the paths of each scored span, the observed one first.

    Args:
        clm: the CLM that scored the spans.
        spans: scored token spans.
        shortest: for each span, the length of the shortest n-grams that are counted in its
            continuations. They start from the places where such an n-gram of the span begins, and
            from the first. None: from the first alone, as long as it may be the secret's text.
        starts: number of those places, evenly spread; None for all of them.
    """
    noise = logit_noise(clm)
    paths = [_paths(span, noise) for span in spans]
    at_choice: list[_Request] = []
    at_runner_up: list[_Request] = []
    starts_of = [
        _places(len(span.truth), starts, size) for span, size in zip(spans, shortest, strict=True)
    ]
    for row, (span, of_span) in enumerate(zip(spans, paths, strict=True)):
        places = starts_of[row]
        for path in of_span:
            for i in first_mismatches(mismatches(path.greedy, span.truth, clm.end_tokens), places):
                at_choice.append(_Request(path, row, i, path.greedy[i]))
                runner_up = span.scores.runners_up[i]
                both_wrong = path.greedy[i] == span.scores.greedy[i] and runner_up != span.truth[i]
                if both_wrong and span.scores.leads[i] < noise:
                    at_runner_up.append(_Request(path, row, i, runner_up))
    requests = at_choice + at_runner_up
    rows = [span.ids for span in spans]
    ends = [_End(clm, span, size) for span, size in zip(spans, shortest, strict=True)]
    jobs = [
        request.continuation(clm, is_over=ends[request.row].reached(request, []))
        for request in requests
    ]
    first_ties = _FirstTies(noise)
    generated = continuations(
        clm, rows, jobs, choose=first_ties,
        stop=lambda job, tokens: ends[requests[job].row].reached(requests[job], tokens),
        stop_every=1,
    )  # fmt: skip
    alternatives = resolve_first_ties_otherwise(clm, rows, jobs, generated, first_ties.found)
    for number, (request, tokens) in enumerate(zip(requests, generated, strict=True)):
        path, place = request.path, request.place
        if number < len(at_choice):
            path.continuations[place] = request.whole(clm, tokens)
            path.alternatives[place] = request.whole(clm, alternatives.get(number, tokens))
        else:
            # A tie at the place itself comes before any tie within the continuation.
            path.alternatives[place] = request.whole(clm, tokens)
    for span, of_span, places in zip(spans, paths, starts_of, strict=True):
        for path in of_span:
            path.continuations = chain(span.truth, path.continuations, places)
            path.alternatives = chain(span.truth, path.alternatives, places)
    return paths


class _End:
    """Tells when the continuations of a span can no longer change any of its measures."""

    def __init__(self, clm: Clm, span: TokenSpan, shortest: int | None) -> None:
        truth = span.truth
        self._clm, self._span = clm, span
        self._shortest = len(truth) + 1 if shortest is None else shortest
        self._grams = [
            {truth[i : i + size] for i in range(len(truth) - size + 1)}
            for size in range(1, shortest or 1)
        ]

    def reached(self, request: _Request, tokens: list[int]) -> bool:
        """Return whether no further n-gram of the span, nor its text, can follow.

        An n-gram of the span that is not complete yet begins with those of the last tokens that
        occur in the span, and needs as many more as it lacks.
        """
        truth, place = self._span.truth, request.place
        left = len(truth) - place - 1 - len(tokens)
        begun = 0
        last = (*truth[max(0, place + 1 - self._shortest) : place], request.token, *tokens)
        for size, grams in enumerate(self._grams, 1):
            if size > len(last) or last[-size:] not in grams:
                break
            begun = size
        if left >= self._shortest - begun:
            return False
        return place > self._first_mismatch(request.path) or self._diverges(request, tokens)

    def _first_mismatch(self, path: DecodingPath) -> int:
        wrong = mismatches(path.greedy, self._span.truth, self._clm.end_tokens)
        return wrong[0] if wrong else len(self._span.truth)

    def _diverges(self, request: _Request, tokens: list[int]) -> bool:
        """Return whether the continuation of the prompt is certain not to be the secret's text."""
        whole = [*self._span.truth[: request.place], request.token, *tokens]
        return starts_with_secret(self._clm, self._span, whole) is False


def _places(length: int, starts: int | None, shortest: int | None) -> list[int]:
    """Return the places that continuations start from."""
    return [0] if shortest is None else spread(max(1, length - shortest + 1), starts)


def spread(length: int, count: int | None) -> list[int]:
    """Return `count` of the places 0 .. length - 1, evenly spread, including first and last."""
    if count is None or count >= length:
        return list(range(length))
    return sorted({round(i * (length - 1) / max(1, count - 1)) for i in range(count)})


def _paths(span: TokenSpan, noise: float) -> list[DecodingPath]:
    """Return the observed path; if there are ties, also those for and against the truth."""
    observed = DecodingPath(span, span.scores.greedy)
    ties = [i for i, margin in enumerate(span.scores.margins) if abs(margin) < noise]
    if not ties:
        return [observed]
    in_favour, against = list(observed.greedy), list(observed.greedy)
    for i in ties:
        in_favour[i] = span.truth[i]
        if observed.greedy[i] == span.truth[i]:
            against[i] = span.scores.runners_up[i]
    return [observed, DecodingPath(span, tuple(in_favour)), DecodingPath(span, tuple(against))]


class _FirstTies:
    """Greedy choice of tokens that records the first tie of each job."""

    def __init__(self, noise: float) -> None:
        self._noise = noise
        self.found: dict[int, tuple[int, int]] = {}
        """By index of a job: the step, and the runner-up there."""

    def __call__(self, logits: torch.Tensor, jobs: list[int], step: int) -> torch.Tensor:
        best = logits.topk(2)
        chosen: torch.Tensor = best.indices[:, 0]
        is_tie = best.values[:, 0] - best.values[:, 1] < self._noise
        for place in is_tie.nonzero().flatten().tolist():
            self.found.setdefault(jobs[place], (step, int(best.indices[place, 1])))
        return chosen


def resolve_first_ties_otherwise(
    clm: Clm,
    rows: Sequence[tuple[int, ...]],
    jobs: Sequence[Continuation],
    generated: Sequence[list[int]],
    ties: dict[int, tuple[int, int]],
) -> dict[int, list[int]]:
    """Return the continuations of jobs with a tie, with the other token chosen there.

    Args:
        clm: the CLM that generated them.
        rows: the rows of the jobs.
        jobs: all jobs.
        generated: the continuation of each job.
        ties: by index of a job, the step of its first tie and the other token.

    Returns:
        Continuations by index of the job.
    """
    resolved: dict[int, list[int]] = {}
    prefixes: list[list[int]] = []
    rest: list[Continuation] = []
    unfinished: list[list[int]] = []
    for index, (step, other) in ties.items():
        job, tokens = jobs[index], generated[index]
        # A job that has ended may stay in its batch for some steps, whose ties do not count.
        if step > len(tokens) or step >= job.tokens:
            continue
        resolved[index] = tokens[:step]
        if other not in clm.end_tokens:
            resolved[index].append(other)
            prefix = [*job.read(rows[job.row]), *resolved[index]]
            rest.append(Continuation(len(prefixes), len(prefix), job.tokens - step - 1))
            prefixes.append(prefix)
            unfinished.append(resolved[index])
    for begun, tokens in zip(unfinished, continuations(clm, prefixes, rest), strict=True):
        begun.extend(tokens)
    return resolved
