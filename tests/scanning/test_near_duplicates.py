"""Near duplicates."""

from __future__ import annotations

import random

import pytest

from erasetest.scanning.near_duplicates import similarity, sketch


def lines(rng: random.Random, count: int) -> list[str]:
    return [f"w{rng.randrange(100_000)} = {rng.randrange(9)}" for _ in range(count)]


def test_the_estimate_is_near_the_similarity_by_definition() -> None:
    rng = random.Random(3)
    errors = []
    for _ in range(80):
        one = lines(rng, 200)
        other = list(one)
        for _ in range(rng.randrange(80)):
            other[rng.randrange(len(other))] = "changed"
        exact = len(set(one) & set(other)) / len(set(one) | set(other))
        estimate = similarity(sketch(["\n".join(one)]), sketch(["\n".join(other)]))
        errors.append(estimate - exact)
    assert abs(sum(errors) / len(errors)) < 0.03
    assert 0.01 < max(map(abs, errors)) < 0.3


@pytest.mark.parametrize("text", ["", "one", "one two\nthree\nfour"])
def test_the_same_lines_are_the_same_however_indented(text: str) -> None:
    assert similarity(sketch([text]), sketch([text.replace("\n", "\r\n\n    ")])) == 1


def test_parts_are_one_text() -> None:
    assert sketch(["token = '", "'\nx = 1"]) == sketch(["token = ''\nx = 1"])


def test_other_texts_are_other() -> None:
    rng = random.Random(4)
    one, other = ("\n".join(lines(rng, 300)) for _ in range(2))
    assert similarity(sketch([one]), sketch([other])) == 0
