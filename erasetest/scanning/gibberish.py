"""Whether a string looks random, or is made of words, names and the like: a model of letter pairs.

Neighbours in a text are evidence. Two letters of a word speak for words by how much more often one
follows the other in the names of code than among random letters. A change of case within letters,
or a digit beside a letter, speaks for a random string. A text looks random if one stretch of it
does, so that a key behind a long path is not lost among the words. Separators and pairs of digits
say nothing: digits alone never look random. Numbers are quarters of a bit.

`benchmarks/gibberish.py` counted the pairs, and measures how often the answer is wrong.
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
"""A row for a first letter, a sign for a second: its evidence, above `ZERO`, in base 36."""

ZERO = 16
PIECE = re.compile(r"(?P<word>[A-Z]?[a-z]+|[A-Z]+(?![a-z]))|[0-9]+")
"""A word within camel case, or a number."""

_PAIRS = {
    first + second: int(sign, 36) - ZERO
    for first, row in zip(ascii_lowercase, TABLE.split(), strict=True)
    for second, sign in zip(ascii_lowercase, row, strict=True)
}
_WORD_ON_WORD = -6
_DIGIT_ON_WORD = -10
_LIMIT = -48


def is_random(text: str) -> bool:
    """Whether a text looks random. Meant for 20 characters and more: a few can never look it."""
    return least_evidence(text) <= _LIMIT and not _is_in_a_row(text)


def least_evidence(text: str) -> int:
    """The evidence for words in the stretch that has the least, at most 0 (an empty stretch's)."""
    least = here = 0
    for evidence in _evidence(text):
        here = min(0, here + evidence)
        least = min(least, here)
    return least


def _evidence(text: str) -> Iterator[int]:
    end, after_word = -1, False
    for piece in PIECE.finditer(text):
        word = piece["word"]
        if piece.start() == end:
            yield _WORD_ON_WORD if word and after_word else _DIGIT_ON_WORD
        end, after_word = piece.end(), bool(word)
        if word:
            for first, second in pairwise(word.lower()):
                yield _PAIRS[first + second]


def _is_in_a_row(text: str) -> bool:
    """Whether most characters follow their neighbour or repeat it, as in alphabets and fillers."""
    steps = [abs(ord(second) - ord(first)) <= 1 for first, second in pairwise(text)]
    return 2 * sum(steps) > len(steps)
