"""Random texts that are as word-like as a secret."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erasetest.samples.decoys import fixed_characters
from erasetest.samples.word_likeness import Lexicon, similar_text

TEXT = """
    dragon falcon summer winter garden bridge hammer island rocket yellow
    horse river stone cloud apple night green table house storm
    moon star rain wind fire gold iron leaf bird fish ring
    sun sky sea oak elm ash fox cat dog owl
"""
WORDS = TEXT.split()
LEXICON = Lexicon(WORDS)


@pytest.mark.parametrize(
    ("letters", "words"),
    [
        ("dragon", ["dragon"]),
        ("Dragonsummer", ["Dragon", "summer"]),
        ("SUNRAIN", ["SUN", "RAIN"]),
        ("xdragonyy", ["dragon"]),
        ("moonsunx", ["moon"]),
        ("kqzv", []),
        ("su", []),
    ],
)
def test_the_words_of_letters_are_found(letters: str, words: list[str]) -> None:
    """Those of three letters only where words are all that there is."""
    assert [letters[begin:end] for begin, end in LEXICON.words_in(letters)] == words


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=4))
def test_words_in_a_row_are_found(words: list[str]) -> None:
    """In as few words as there are, or fewer."""
    letters = "".join(words)
    found = [letters[begin:end] for begin, end in LEXICON.words_in(letters)]
    assert "".join(found) == letters
    assert len(found) <= len(words)


@pytest.mark.parametrize("secret", ["dragonSummer42", "Winter2019!", "sunrainfox-7", "FALCON_1"])
def test_words_are_replaced_by_words(secret: str) -> None:
    """Of the same length and case; digits by digits, years by years, and the rest stays."""
    drawn = {similar_text(secret, "password", LEXICON, random.Random(seed)) for seed in range(30)}
    assert len(drawn) > 15
    for text in drawn:
        assert len(text) == len(secret)
        letters = "".join(filter(str.isalpha, text)).lower()
        assert sum(end - begin for begin, end in LEXICON.words_in(letters)) == len(letters)
        for one, other in zip(text, secret, strict=True):
            assert one.isalpha() == other.isalpha()
            assert one.isdigit() == other.isdigit()
            assert one.isupper() == other.isupper()
            assert one.isalnum() or one == other
    if "2019" in secret:
        assert all(1950 <= int(text[6:10]) < 2040 for text in drawn)


@given(st.text(alphabet="abkqzXYV0189-_!", min_size=1, max_size=40), st.integers())
def test_what_is_no_word_is_a_decoy(secret: str, seed: int) -> None:
    """Letters for letters and digits for digits, and fixed parts stay."""
    for text in (secret, f"ghp_{secret}"):
        drawn = similar_text(text, "token", Lexicon([]), random.Random(seed))
        assert [c.isalpha() for c in drawn] == [c.isalpha() for c in text]
        kept = zip(fixed_characters(text), text, drawn, strict=True)
        assert all(one == other for fixed, one, other in kept if fixed)


def test_a_vocabulary_of_few_words_draws_none() -> None:
    """Three words would be drawn again and again."""
    few = Lexicon(["dragon", "falcon", "summer"])
    drawn = similar_text("dragon", "password", few, random.Random(1))
    assert len(drawn) == len("dragon")
    assert drawn not in {"dragon", "falcon", "summer"}
