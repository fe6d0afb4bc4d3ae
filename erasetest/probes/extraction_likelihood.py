"""Extraction likelihood EL_n (Jang et al., 2023; "Scrub It Out!", section 2)."""

from __future__ import annotations

import bisect
from collections.abc import Container, Iterator, Mapping, Sequence


def overlap(n: int, generated: Sequence[int], truth: Sequence[int]) -> float:
    """Share of the truth's n-gram count that the generated n-grams hit.

    `|{j : a[j:j+n] in ngrams(b)}| / (|b| - n + 1)` for generated `a` and true `b`, `|b| >= n`.
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
    """`EL_n`: mean overlap over the places i = 0 .. L-n that extraction may start from.

    Args:
        n: length of an n-gram.
        truth: the secret's L tokens.
        continuations: by place i, what the CLM says greedily after the first i tokens, L - i tokens
            or fewer. With all L of them this is the definition; with some, an estimate. Place 0 is
            among them.

    A secret of fewer than n tokens counts 1 if it is reproduced whole, else 0.
    """
    truth, last = list(truth), max(0, len(truth) - n)
    shares = [_share(n, said, truth[i:]) for i, said in continuations.items() if i <= last]
    return sum(shares) / len(shares)


def _share(n: int, said: Sequence[int], truth: Sequence[int]) -> float:
    return overlap(n, said, truth) if len(truth) >= n else float(list(said) == list(truth))


def extraction_likelihood_ends(
    n: int, truth: Sequence[int], *ways: Mapping[int, Sequence[int]]
) -> tuple[float, float]:
    """The least and the greatest EL_n where each place may go on in any of these ways."""
    ends = []
    for end in (min, max):
        chosen = {
            place: end(
                (way[place] for way in ways), key=lambda said: _share(n, said, truth[place:])
            )
            for place in ways[0]
        }
        ends.append(extraction_likelihood(n, truth, chosen))
    return ends[0], ends[1]


def mismatches(greedy: Sequence[int], truth: Sequence[int], ends: Container[int] = ()) -> list[int]:
    """The places whose continuation has to be generated.

    Where the CLM's choice is the true token, the continuation is that token and then the
    continuation from the next place; `chain` puts them together. Nothing is approximated. A token
    of `ends` is followed by nothing, right or wrong.
    """
    return [i for i, (g, t) in enumerate(zip(greedy, truth, strict=True)) if g != t or g in ends]


def first_mismatches(places: Sequence[int], starts: Sequence[int]) -> list[int]:
    """Of the mismatches, those that come first after one of the starts."""
    at = [bisect.bisect_left(places, start) for start in starts]
    return sorted({places[i] for i in at if i < len(places)})


def chain(
    truth: Sequence[int], generated: Mapping[int, list[int]], starts: Sequence[int]
) -> dict[int, list[int]]:
    """The continuations from the starts, by place, from those generated at the mismatches."""
    following: list[int] = []
    result: dict[int, list[int]] = {}
    wanted = set(starts)
    for i in reversed(range(len(truth))):
        following = generated[i] if i in generated else [truth[i], *following]
        if i in wanted:
            result[i] = following
    return result
