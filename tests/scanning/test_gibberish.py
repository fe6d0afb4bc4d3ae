"""Strings that look random, and strings made of words."""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erasetest.scanning.gibberish import PIECE, TABLE, is_random, min_evidence

SEEDS = 400
WORDS = ["connection", "pool", "timeout", "request", "handler", "session", "config", "parser"]
NO_KEYS = [
    "some/long/Path/of/ManyNamesInCamelCase",
    "test_connection_pool_timeout_v2",
    "application/vnd.api+json",
    "x-amz-server-side-encryption-customer-key",
    "MAXIMUM_NUMBER_OF_CONNECTIONS_PER_HOST",
    "getElementsByClassNameAndTagName",
    "lib/python3/site-packages/setuptools",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef0123456789",
    "abcdefghijklmnopqrstuvwxyz0123456789+/=",
    "zyxwvutsrqponmlkjihgfedcba9876543210",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "20240131235959000000123456789",
    "",
    "Ж" * 30,
]


def base64_of(length: int, rng: random.Random) -> str:
    return base64.b64encode(rng.randbytes(length)).decode()


def letters_and_digits(length: int, rng: random.Random) -> str:
    return "".join(rng.choices(string.ascii_letters + string.digits, k=length))


def small_letters_and_digits(length: int, rng: random.Random) -> str:
    return "".join(rng.choices(string.ascii_lowercase + string.digits, k=length))


def hex_digits(length: int, rng: random.Random) -> str:
    return f"{rng.getrandbits(4 * length):0{length}x}"


@pytest.mark.parametrize("text", NO_KEYS)
def test_names_paths_and_rows_of_characters_do_not_look_random(text: str) -> None:
    assert not is_random(text)


@pytest.mark.parametrize(
    ("draw", "length"),
    [
        *product([base64_of], [16, 20, 24, 32, 40]),
        *product([letters_and_digits], [20, 24, 32, 40]),
        *product([small_letters_and_digits], [20, 32]),
        *product([hex_digits], [32, 40, 64]),
    ],
)
def test_nearly_all_random_strings_look_random(
    draw: Callable[[int, random.Random], str], length: int
) -> None:
    found = sum(is_random(draw(length, random.Random(seed))) for seed in range(SEEDS))
    assert found >= 0.97 * SEEDS


@pytest.mark.parametrize(
    "prefix", ["sk_live_", "projects/my-company/environments/", "tokenForUser="]
)
def test_a_key_behind_words_is_not_lost_among_them(prefix: str) -> None:
    found = sum(is_random(prefix + letters_and_digits(24, random.Random(s))) for s in range(SEEDS))
    assert found >= 0.97 * SEEDS


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12), st.sampled_from("_-./ "))
def test_words_do_not_look_random_however_they_are_joined(words: list[str], sign: str) -> None:
    assert not is_random(sign.join(words))
    assert not is_random(sign.join(words).upper())
    assert not is_random("".join(map(str.capitalize, words)))


@given(st.text(max_size=80), st.text(max_size=40))
def test_more_text_never_hides_a_stretch_behind_a_separator(text: str, more: str) -> None:
    alone = min_evidence(text)
    assert min_evidence(f"{more}/{text}/{more}") <= alone <= 0


@given(st.text(st.sampled_from(string.ascii_letters), max_size=60))
def test_every_letter_is_in_a_piece(text: str) -> None:
    assert "".join(piece.group() for piece in PIECE.finditer(text)) == text


def test_the_table_has_a_sign_for_every_pair() -> None:
    assert [len(row) for row in TABLE.split()] == [26] * 26
