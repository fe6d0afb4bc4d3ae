"""What a line must hold for a pattern to match in it, read off the pattern.

Most lines of code hold no secret, and a string search is a hundred times faster than the patterns
of all detectors. A clue is a necessary condition, never a sufficient one: nothing is lost by
looking only at lines that hold it.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from re import _constants as ops  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

_MOST_WORDS = 64
_RARE_WORD = 6
_FEW_WORDS = 3
"""Few words of so many characters are rarer than any run, and quicker to look for."""

RUNS = (32, 24, 20)
"""Lengths of runs that are told apart: so all of them are found at once."""

BEYOND = r"\x80-\U0010ffff"
"""In a class of a shape: all that is not ASCII."""

# Beyond ASCII anything counts: classes such as \w and \d hold signs of every script.
IN_RUN = rf"A-Za-z0-9_\-{BEYOND}"
ASCII_IN_RUN = frozenset(string.ascii_letters + string.digits + "_-")


@dataclass(frozen=True, slots=True)
class RequiredLiterals:
    """One of `words`, as many characters of tokens in a row as one of `runs`, or a `shapes`' match.

    Words are in lower case. Shapes are patterns that match within a line, without
    look-around, whose classes of characters are ASCII or hold all that is `BEYOND`.
    """

    words: frozenset[str] = frozenset()
    runs: frozenset[int] = frozenset()
    shapes: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Words in lower case, whoever wrote them."""
        object.__setattr__(self, "words", frozenset(word.lower() for word in self.words))

    def __or__(self, other: RequiredLiterals) -> RequiredLiterals:
        """What holds one of both."""
        return RequiredLiterals(
            self.words | other.words, self.runs | other.runs, self.shapes | other.shapes
        )


# The letters outside ASCII that patterns without regard to case take for ones inside.
_PLAIN = {"\u0130": "i", "\u0131": "i", "\u017f": "s", "\u212a": "k"}


def plain(text: str) -> str:
    """The text with ASCII's own letters instead; `lower()` leaves every character in its place."""
    if not text.isascii():
        for letter, ours in _PLAIN.items():
            text = text.replace(letter, ours)
    return text


def required_literals_of(patterns: Iterable[re.Pattern[str]]) -> RequiredLiterals | None:
    """What a line must hold for one of the patterns to match; None: any line may."""
    found = [_of_one(pattern) for pattern in patterns]
    if not found or None in found:
        return None
    return reduce(RequiredLiterals.__or__, (clue for clue in found if clue is not None))


def _of_one(pattern: re.Pattern[str]) -> RequiredLiterals | None:
    tree = _parser.parse(pattern.pattern, pattern.flags)
    best = _required(_texts(tree))
    longest = _longest_run(tree)
    run = next((length for length in RUNS if length <= longest), None)
    words = _shortest(best or frozenset())
    if run is not None and (_length(words) < _RARE_WORD or len(words) > _FEW_WORDS):
        return RequiredLiterals(runs=frozenset({run}))
    return RequiredLiterals(words=words) if words else None


@dataclass(frozen=True, slots=True)
class _Texts:
    """What a part of a pattern matches: just the texts `exact`, or else one that holds `some`."""

    exact: frozenset[str] | None
    some: frozenset[str] | None = None


_ANYTHING = _Texts(None)
_NOTHING = _Texts(frozenset({""}))


def _shortest(found: frozenset[str]) -> frozenset[str]:
    """Those that hold no other of them."""
    return frozenset(
        word for word in found if not any(other != word and other in word for other in found)
    )


def _length(found: frozenset[str] | None) -> int:
    return min(map(len, found)) if found else 0


def _better(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    return max(one, other, key=lambda found: (_length(found), -len(found or ())))


def _required(texts: _Texts) -> frozenset[str] | None:
    found = texts.some if texts.exact is None else texts.exact
    return found if _length(found) else None


def _texts(tree: Iterable[tuple[Any, Any]]) -> _Texts:
    """Of a sequence: products of neighbours as long as they are few."""
    whole = True
    best: frozenset[str] | None = None
    here: frozenset[str] = frozenset({""})
    for op, argument in tree:
        part = _part(op, argument)
        if part.exact is None:
            best, here, whole = _better(_better(best, part.some), here), frozenset({""}), False
        elif len(here) * len(part.exact) > _MOST_WORDS:
            best, here, whole = _better(best, here), part.exact, False
        else:
            here = frozenset(left + right for left in here for right in part.exact)
    if whole:
        return _Texts(here)
    best = _better(best, here)
    return _Texts(None, best if _length(best) else None)


def _part(op: Any, argument: Any) -> _Texts:
    if op is ops.LITERAL:
        # Case has more than two forms beyond ASCII.
        return _Texts(frozenset({chr(argument).lower()})) if argument < 128 else _ANYTHING
    if op is ops.IN:
        return _class(argument)
    if op in (ops.AT, ops.ASSERT, ops.ASSERT_NOT):
        return _NOTHING
    if op is ops.SUBPATTERN:
        return _texts(argument[-1])
    if op is ops.ATOMIC_GROUP:
        return _texts(argument)
    if op is ops.BRANCH:
        return _branches([_texts(branch) for branch in argument[1]])
    if op in (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT):
        return _repeated(*argument)
    return _ANYTHING


def _class(items: Sequence[tuple[Any, Any]]) -> _Texts:
    if any(op is not ops.LITERAL or argument >= 128 for op, argument in items):
        return _ANYTHING
    return _Texts(frozenset(chr(argument).lower() for _, argument in items))


def _branches(branches: Sequence[_Texts]) -> _Texts:
    if all(branch.exact is not None for branch in branches):
        exact = frozenset().union(*(branch.exact or () for branch in branches))
        if len(exact) <= _MOST_WORDS:
            return _Texts(exact)
    required = [_required(branch) for branch in branches]
    if None in required:
        return _ANYTHING
    return _Texts(None, frozenset().union(*(found or () for found in required)))


def _repeated(least: int, most: Any, tree: Iterable[tuple[Any, Any]]) -> _Texts:
    part = _texts(tree)
    if part.exact is not None and len(part.exact) ** min(int(most), 8) <= _MOST_WORDS and most <= 8:
        powers = [frozenset({""})]
        for _ in range(int(most)):
            powers.append(frozenset(a + b for a in powers[-1] for b in part.exact))
        return _Texts(frozenset().union(*powers[least:]))
    if least == 0:
        return _ANYTHING
    return _Texts(None, _required(part))


def _longest_run(tree: Iterable[tuple[Any, Any]]) -> int:
    """Of the stretches that hold characters of tokens alone, the longest, by its least length."""
    longest = here = 0
    for op, argument in tree:
        least = _run_of(op, argument)
        if least is None:
            here = 0
            longest = max(longest, _inner_run(op, argument))
        else:
            here += least
            longest = max(longest, here)
    return longest


def _run_of(op: Any, argument: Any) -> int | None:
    """The least length of a part that holds characters of tokens alone; None: of any other."""
    if op is ops.LITERAL:
        return 1 if argument >= 128 or chr(argument) in ASCII_IN_RUN else None
    if op is ops.IN:
        return 1 if all(_is_in_run(*item) for item in argument) else None
    if op in (ops.AT, ops.ASSERT, ops.ASSERT_NOT):
        return 0
    if op is ops.SUBPATTERN:
        return _run_of_all(argument[-1])
    if op is ops.ATOMIC_GROUP:
        return _run_of_all(argument)
    if op is ops.BRANCH:
        lengths = [_run_of_all(branch) for branch in argument[1]]
        known = [length for length in lengths if length is not None]
        return min(known) if len(known) == len(lengths) else None
    if op in (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT):
        length = _run_of_all(argument[2])
        return None if length is None else argument[0] * length
    return None


def _run_of_all(tree: Iterable[tuple[Any, Any]]) -> int | None:
    lengths = [_run_of(op, argument) for op, argument in tree]
    known = [length for length in lengths if length is not None]
    return sum(known) if len(known) == len(lengths) else None


def _inner_run(op: Any, argument: Any) -> int:
    if op is ops.SUBPATTERN:
        return _longest_run(argument[-1])
    if op is ops.BRANCH:
        return min(_longest_run(branch) for branch in argument[1])
    if op in (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT) and argument[0] > 0:
        return _longest_run(argument[2])
    return 0


def _is_in_run(op: Any, argument: Any) -> bool:
    if op is ops.LITERAL:
        return argument >= 128 or chr(argument) in ASCII_IN_RUN
    if op is ops.RANGE:
        first, last = argument
        return all(chr(code) in ASCII_IN_RUN for code in range(first, min(last, 127) + 1))
    return op is ops.CATEGORY and argument in (ops.CATEGORY_DIGIT, ops.CATEGORY_WORD)
