"""Classifies strings as random or as made of words, by a bigram model of letters.

Each pair of neighbouring characters contributes evidence. For two letters of a word it is the
log-likelihood ratio of the pair in identifiers of code against random letters. A change of case
within letters, or a digit next to a letter, is evidence for a random string. A text looks random if
any substring of it does, so that a key after a long path is not outweighed by the words. Separators
and pairs of digits are neutral: digits alone never look random. Evidence is positive for words, and
its unit is a quarter of a bit.

`benchmarks/gibberish.py` computes the table of pairs and measures the error rates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from string import ascii_lowercase

TABLE = """
0fjj04f0f09nkk0g0njob89cc0
n9eak482lh6o9bkg0hjbl020j2
n1a6l75md0kic9q70idme82060
lachsb72o12g7aka1hiff55570
i5jkceb0805hfm7e9omm3bai90
h0adij32r00jaanc0lhhi050a0
f3c9t79fj00hbjda0kldf75005
q48dq547m0aeeao70hehe02080
ddiheeg0100khrjc0glm0b0b0f
l6cfq666666666qf6ch6q666c6
gbdgtbf6k00i3gdd9bnda3i090
l4agr812p03k59ne06ggf410c0
pf6er430j09bf4ll04ide01060
l4kmmgm5g0cc8cjc05jned1030
adij3db1b0bjjpfj0oihibg700
p7bbob39i06l66mg0mfje390f0
9c9ce939993c3f9c39h9w99333
m5fer9e0l0bcgcla0eljc751d0
f5i9paahl0bc97hj39jqi470c0
m7fbqb0jn01db9jc0ligd782g5
ficajf60f00ljpck0mkm000000
s9b2t922m027e7eb0ca9052000
o8efld6ho14e9kjd0mkb648810
c9jemdack00ie9fn08fra93ae6
adgdje89e00hhlar0dnm3bda30
h11bwd11k11888kb18d18111b8
"""
"""Evidence of each pair in base 36, plus `ZERO`: a row per first letter, a digit per second."""

ZERO = 16
"""Base 36 value of neutral evidence."""

PIECE = re.compile(r"(?P<word>[A-Z]?[a-z]+|[A-Z]+(?![a-z]))|[0-9]+")
"""A word of a camel case name, or a number."""

_PAIRS = {
    first + second: int(digit, 36) - ZERO
    for first, row in zip(ascii_lowercase, TABLE.split(), strict=True)
    for second, digit in zip(ascii_lowercase, row, strict=True)
}
_CASE_CHANGE = -6
"""Evidence of a word directly after a word."""

_DIGIT_CHANGE = -10
"""Evidence of a digit next to a letter."""

_MAX_RANDOM_EVIDENCE = -48
"""Maximum evidence of a substring that looks random: 12 bits."""


def is_random(text: str) -> bool:
    """Return whether a text looks random. Intended for 20 or more characters; a few never do."""
    return min_evidence(text) <= _MAX_RANDOM_EVIDENCE and not _is_sequence(text)


def min_evidence(text: str) -> int:
    """Return the minimum evidence for words over all substrings, at most 0 (the empty one's)."""
    # Kadane's algorithm for the minimum.
    minimum = here = 0
    for evidence in _evidence(text):
        here = min(0, here + evidence)
        minimum = min(minimum, here)
    return minimum


def _evidence(text: str) -> Iterator[int]:
    end, after_word = -1, False
    for piece in PIECE.finditer(text):
        word = piece["word"]
        if piece.start() == end:
            yield _CASE_CHANGE if word and after_word else _DIGIT_CHANGE
        end, after_word = piece.end(), bool(word)
        if word:
            for first, second in pairwise(word.lower()):
                yield _PAIRS[first + second]


def _is_sequence(text: str) -> bool:
    """Return whether most characters repeat or succeed their neighbour, as in alphabets."""
    steps = [abs(ord(second) - ord(first)) <= 1 for first, second in pairwise(text)]
    return 2 * sum(steps) > len(steps)
