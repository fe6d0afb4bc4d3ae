"""Extraction likelihood EL_n (Jang et al., 2023, arXiv 2210.01504)."""

from __future__ import annotations

import bisect
from collections.abc import Container, Iterator, Mapping, Sequence


def overlap(n: int, generated: Sequence[int], truth: Sequence[int]) -> float:
    """Return the n-gram overlap of generated tokens `a` with true tokens `b`, `|b| >= n`.

    `|{j : a[j:j+n] in ngrams(b)}| / (|b| - n + 1)`.
    """
    if generated == truth:
        return 1.0
    hits = sum(map(set(_ngrams(n, truth)).__contains__, _ngrams(n, generated)))
    return hits / (len(truth) - n + 1)


def _ngrams(n: int, tokens: Sequence[int]) -> Iterator[tuple[int, ...]]:
    return zip(*(tokens[j:] for j in range(n)), strict=False)


def extraction_likelihood(
    n: int, truth: Sequence[int], continuations: Mapping[int, Sequence[int]]
) -> float:
    """Return `EL_n = 1/(L - n + 1) sum_i overlap_n(f(s[:i]), s[i:])`, `i = 0 .. L - n`.

    `f(s[:i])` is the greedy continuation after the prompt and the first i of L secret tokens. A
    secret of fewer than n tokens has `EL_n = 1` if it is reproduced completely, else 0.

    Args:
        n: length of an n-gram.
        truth: the L secret tokens `s`.
        continuations: by place i, the greedy continuation of at most L - i tokens. With all L
            places this is the definition; with some of them, including 0, it is an estimate.
    """
    truth, last = list(truth), max(0, len(truth) - n)
    shares = [_overlap_from(n, a, truth[i:]) for i, a in continuations.items() if i <= last]
    return sum(shares) / len(shares)


def _overlap_from(n: int, generated: Sequence[int], truth: Sequence[int]) -> float:
    """Return the overlap from one place; for less than n tokens, whether they are reproduced."""
    if len(truth) < n:
        return float(list(generated) == list(truth))
    return overlap(n, generated, truth)


def extraction_likelihood_bounds(
    n: int, truth: Sequence[int], *variants: Mapping[int, Sequence[int]]
) -> tuple[float, float]:
    """Return the smallest and largest EL_n if each place has the continuation of any variant."""
    bounds = []
    for extreme in (min, max):
        chosen = {
            place: extreme(
                (variant[place] for variant in variants),
                key=lambda tokens: _overlap_from(n, tokens, truth[place:]),
            )
            for place in variants[0]
        }
        bounds.append(extraction_likelihood(n, truth, chosen))
    return bounds[0], bounds[1]


def reachable_extraction_likelihood(n: int, right: Sequence[bool]) -> float:
    """Return the largest EL_n of a CLM that generates only n-grams that it half knows.

    An n-gram of the secret is half known if the CLM, given the true tokens before each of its
    tokens, predicts at least half of them. Every such n-gram from place i on may then occur in the
    continuation from there, and no other. This is an upper bound of EL_n, without generation, as
    long as a CLM does not do better after its own wrong tokens than after the true ones;
    `docs/results/real.md` has how often that fails.

    Args:
        n: length of an n-gram, at most that of the secret.
        right: for each of the secret's tokens, whether the CLM predicts it.
    """
    last = len(right) - n
    half_known = [2 * sum(right[j : j + n]) >= n for j in range(last + 1)]
    reachable = 0
    total = 0.0
    for place in reversed(range(last + 1)):
        reachable += half_known[place]
        total += reachable / (last - place + 1)
    return total / (last + 1)


def mismatches(greedy: Sequence[int], truth: Sequence[int], ends: Container[int] = ()) -> list[int]:
    """Return the places whose continuation has to be generated.

    Where the CLM's choice is the true token, the continuation is that token followed by the
    continuation from the next place (`chain`). Nothing follows a token of `ends`, right or wrong.
    """
    return [i for i, (g, t) in enumerate(zip(greedy, truth, strict=True)) if g != t or g in ends]


def first_mismatches(places: Sequence[int], starts: Sequence[int]) -> list[int]:
    """Return the mismatches that come first at or after one of the starts."""
    at = [bisect.bisect_left(places, start) for start in starts]
    return sorted({places[i] for i in at if i < len(places)})


def chain(
    truth: Sequence[int], generated: Mapping[int, list[int]], starts: Sequence[int]
) -> dict[int, list[int]]:
    """Return the continuations from the starts, given those generated at the mismatches."""
    following: list[int] = []
    result: dict[int, list[int]] = {}
    wanted = set(starts)
    for i in reversed(range(len(truth))):
        following = generated[i] if i in generated else [truth[i], *following]
        if i in wanted:
            result[i] = following
    return result
