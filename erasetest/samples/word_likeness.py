"""Random texts that are as word-like as a secret: words for its words, digits for its digits.

A password that is made of words is more likely than random letters, to a CLM that has never seen
it. Random texts to compare it with have to be made of words too.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable

from erasetest.samples.decoys import decoy, fixed_characters

MIN_WORD = 3
"""Length from which letters count as a word."""

_MIN_CHOICE = 8
"""Number of words of the same length from which one of them is drawn."""

_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^A-Za-z0-9]+")
_YEAR = re.compile(r"(?:19[5-9]|20[0-3])[0-9]")
_YEARS = (1950, 2040)

_DEFAULTS = """
    1234 12345 123456 1234567 12345678 123456789 1234567890 0000 1111 000000 111111
    abc123 admin admin123 administrator changeit changeme database default demo dev dummy
    elastic example foobar guest hunter2 iloveyou letmein local localhost mariadb master
    minioadmin mongo monkey mysql nobody none null oracle p@ssw0rd p@ssword pass pass123 passw0rd
    password password1 password123 postgres postgresql public qwerty qwerty123 rabbitmq redis
    root rootpassword sa sample sample123 secret secret123 secretpassword string supersecret
    sysadmin system test test123 test1234 testing testpassword tiger toor user username
    welcome welcome1
"""


def is_default(password: str) -> bool:
    """Return whether a password is a common default, which everybody tries first."""
    return password.lower() in _DEFAULTS.split()


class Lexicon:
    """Words to draw from, by length."""

    def __init__(self, words: Iterable[str]) -> None:
        """Take the words that are made of at least `MIN_WORD` ASCII letters, in lower case."""
        known = {word.lower() for word in words if word.isascii() and word.isalpha()}
        self._words = {word for word in known if len(word) >= MIN_WORD}
        self._by_length: dict[int, list[str]] = {}
        for word in sorted(self._words):
            self._by_length.setdefault(len(word), []).append(word)

    def words_in(self, letters: str) -> list[tuple[int, int]]:
        """Return the ranges of the words that letters are made of: the fewest that cover most.

        Words of `MIN_WORD` letters count only if words cover all letters: three random letters
        often are one.
        """
        whole = self._cover(letters, MIN_WORD)
        if sum(end - begin for begin, end in whole) == len(letters):
            return whole
        return self._cover(letters, MIN_WORD + 1)

    def _cover(self, letters: str, shortest: int) -> list[tuple[int, int]]:
        # For each end: letters that no word covers, and the ranges of the words.
        best: list[tuple[int, list[tuple[int, int]]]] = [(0, [])]
        for end in range(1, len(letters) + 1):
            missed, found = best[end - 1]
            ways = [(missed + 1, found)]
            for begin in range(end - shortest + 1):
                if letters[begin:end].lower() in self._words:
                    missed, found = best[begin]
                    ways.append((missed, [*found, (begin, end)]))
            best.append(min(ways, key=lambda way: (way[0], len(way[1]))))
        return best[-1][1]

    def draw(self, word: str, rng: random.Random) -> str | None:
        """Return a random word of the same length and case; None if there are too few."""
        others = self._by_length.get(len(word), [])
        if len(others) < _MIN_CHOICE:
            return None
        drawn = rng.choice(others)
        if word.isupper():
            return drawn.upper()
        return drawn.title() if word[0].isupper() else drawn


def similar_text(text: str, kind: str, lexicon: Lexicon, rng: random.Random) -> str:
    """Return a decoy, with words in the place of words, and years in the place of years."""
    characters, fixed = list(decoy(text, kind, rng)), fixed_characters(text)
    for match in _PARTS.finditer(text):
        first, end = match.span()
        if any(fixed[first:end]):
            continue
        if _YEAR.fullmatch(match.group()):
            characters[first:end] = str(rng.randrange(*_YEARS))
        for begin, stop in lexicon.words_in(match.group()):
            word = lexicon.draw(match.group()[begin:stop], rng)
            if word is not None:
                characters[first + begin : first + stop] = word
    return "".join(characters)
