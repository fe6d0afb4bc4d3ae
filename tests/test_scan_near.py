"""Nearly the same code."""

from __future__ import annotations

import random

import pytest

from erasetest.scan.near import similarity, sketch


def words(rng: random.Random, count: int) -> list[str]:
    return [f"w{rng.randrange(10_000)}" for _ in range(count)]


def jaccard(one: list[str], other: list[str]) -> float:
    first, second = (
        {tuple(tokens[n : n + 5]) for n in range(len(tokens) - 4)} for tokens in (one, other)
    )
    return len(first & second) / len(first | second)


def test_the_estimate_is_near_the_similarity_by_definition() -> None:
    rng = random.Random(3)
    errors = []
    for _ in range(60):
        one = words(rng, 400)
        other = list(one)
        for _ in range(rng.randrange(30)):
            other[rng.randrange(len(other))] = "changed"
        estimate = similarity(sketch([" ".join(one)]), sketch([" ".join(other)]))
        errors.append(estimate - jaccard(one, other))
    assert abs(sum(errors) / len(errors)) < 0.03
    assert max(map(abs, errors)) < 0.35


@pytest.mark.parametrize("text", ["", "one", "one two three four five six"])
def test_the_same_text_is_the_same_whatever_its_spaces(text: str) -> None:
    assert similarity(sketch([text]), sketch([text.replace(" ", "\n  ")])) == 1


def test_other_texts_are_other() -> None:
    rng = random.Random(4)
    assert similarity(sketch(words(rng, 300)), sketch(words(rng, 300))) == 0
