"""Random strings and words."""

from __future__ import annotations

import base64
import random
import string

import pytest

from erasetest.scan.gibberish import is_random


@pytest.mark.parametrize(
    "text",
    [
        "some/long/Path/of/ManyNamesInCamelCase",
        "test_connection_pool_timeout_v2",
        "application/vnd-api-and-json",
        "getElementsByClassNameAndTagName",
        "x-amz-server-side-encryption-customer-key",
        "AbstractSingletonProxyFactoryBean",
        "MAXIMUM_NUMBER_OF_CONNECTIONS_PER_HOST",
        "lib/python3/site-packages/setuptools",
    ],
)
def test_names_and_paths_are_words(text: str) -> None:
    assert not is_random(text)


@pytest.mark.parametrize("size", [15, 24, 40])
def test_nearly_all_keys_are_random(size: int) -> None:
    rng = random.Random(size)
    keys = [base64.b64encode(rng.randbytes(size)).decode() for _ in range(2000)]
    assert sum(not is_random(key) for key in keys) <= 20


def test_nearly_all_small_letters_and_digits_are_random() -> None:
    rng = random.Random(1)
    signs = string.ascii_lowercase + string.digits
    keys = ["".join(rng.choice(signs) for _ in range(32)) for _ in range(2000)]
    assert sum(not is_random(key) for key in keys) <= 20


def test_nearly_all_joined_words_are_words() -> None:
    words = [name for name in dir(string) + dir(random) + dir(str) if name.isidentifier()]
    rng = random.Random(2)
    joined = ["_".join(rng.sample(words, 4)) for _ in range(500)]
    assert sum(map(is_random, joined)) <= 15


def test_the_empty_string_is_no_word() -> None:
    assert isinstance(is_random(""), bool)
