"""Random texts that are as word-like as a secret: words for its words, digits for its digits.

A password that is made of words is more likely than random letters, to a CLM that has never seen
it. Random texts to compare it with have to be made of words too.
"""

from __future__ import annotations

import functools
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

_NAMES = """
    ali ana bob eva ian ida jan jim kim lee leo liu mia max roy sam tom ute wei zoe
    adam alan alex amir anna carl dean emma eric evan finn gary hans ivan jack jane john jose juan
    karl king kyle lena lisa luis luke mark mary mike nick noah omar paul pete rosa ross ruth ryan
    sara sean toni wang will wolf wood yang zhou
    aaron adams alice allen anita baker brian bruce carol chris clara clark craig daisy david diana
    edith emily felix frank grace green hansa harry helen henri irene james jason jones julia karen
    kevin laura linda lopez lucas maria mario marta moore oscar peter ramon roger sarah scott simon
    singh smith steve susan tanya white wilma young
    albert alfred andrea andrew angela anneli astrid bailey bianca brandt carlos carter claire
    cooper daniel davies dennis dorota edward emilia esther fatima fisher foster garcia george
    gerald gloria hannah harris helena howard hunter ingrid isabel javier jensen jerome johann
    joseph judith keller larsen martha martin mendez meyers miguel miller monica morgan murphy
    nelson nicole norman oliver olivia parker pascal petrov powell rachel rashid rivera robert
    samuel sandra schulz sergei sharon sophia stefan teresa thomas tobias turner victor walker
    weaver werner wilson xavier yvonne
    abigail andreas anthony barbara bennett bernard brandon bridget camille carmine charles
    clement collins coleman cynthia deborah dominic douglas eleanor estella fiorina florian
    francis gabriel georgia gilbert gustavo hammond heather herbert ibrahim jackson jeffrey
    jessica johnson jonatan kathryn kenneth leonard lindsey lombard marcelo marjory
    matthew maxwell mccarty melissa michael mitchel natalia nikolai norbert orlando pacheco
    patrick pereira phillip quentin ramirez raymond rebecca ricardo richard roberts rodrigo
    russell sanders shannon simpson sokolov stephan suzanne tatiana theresa timothy
    vanessa vincent wallace watkins webster whitney wilhelm william zachary
    alistair anderson beatrice benjamin bergmann campbell caroline catalina christin clarence
    crawford cristina danielle demetrio dorothea elisabet elizabet eriksson
    fernando fletcher francine franklin frederic gonzales griffith guerrero hamilton harrison
    heinrich isabelle ivanovic jacobsen jennifer johansen jonathan kimberly
    lawrence leonardo lindberg margaret marshall martinez mcdonald mitchell montague morrison
    muhammad nakamura nicholas nikolaus ottaviani patricia petersen philippa raffaele reynolds
    richards robinson rosalind santiago schaefer schneide schubert stephens sullivan
    svensson theodore thompson valentin veronica victoria virginia williams winifred
    yamamoto
    alejandra alexander anastasia andersson bernhardt catherine chatterje christian christine
    davenport elisabeth esperanza fernandez francesca francisco genevieve gutierrez
    harriette henderson hernandez josephine katherine lindstrom macdonald mackenzie magdalena
    margarita nathaniel nicholson rodriguez rosenberg schneider sebastian stephanie
    sylvester takahashi valentina zimmerman
    alessandra bernardino castellano christophe clementine constantin fitzgerald henriksson
    jacqueline maximilian montgomery richardson rutherford strickland washington wilhelmina
"""
"""First and last names of many countries, of three to ten letters."""


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


@functools.cache
def _names() -> Lexicon:
    return Lexicon(_NAMES.split())


_DRAWS = 8
"""Times that a text is drawn for each that is wanted, before the format counts as exhausted."""


def similar_texts(
    text: str, kind: str, lexicon: Lexicon, rng: random.Random, count: int
) -> list[str]:
    """Return `count` different texts like a given one; fewer if its format hardly allows more."""
    found: dict[str, None] = {}
    for _ in range(count * _DRAWS):
        drawn = similar_text(text, kind, lexicon, rng)
        if drawn != text:
            found[drawn] = None
        if len(found) == count:
            break
    return list(found)


def similar_text(text: str, kind: str, lexicon: Lexicon, rng: random.Random) -> str:
    """Return a decoy, with words in the place of words, and years in the place of years.

    The part of an e-mail address before `@` is made of names.
    """
    characters, fixed = list(decoy(text, kind, rng)), fixed_characters(text)
    local = text.find("@") if kind == "email" else -1
    for match in _PARTS.finditer(text):
        first, end = match.span()
        if any(fixed[first:end]):
            continue
        if _YEAR.fullmatch(match.group()):
            characters[first:end] = str(rng.randrange(*_YEARS))
        name = _names().draw(match.group(), rng) if end <= local else None
        if name is not None:
            characters[first:end] = name
            continue
        words = lexicon.words_in(match.group()) if match.group().isalpha() else []
        for begin, stop in words:
            word = lexicon.draw(match.group()[begin:stop], rng)
            if word is not None:
                characters[first + begin : first + stop] = word
    return "".join(characters)
