"""Literals that a line must contain for a regular expression to match in it.

Most lines of code contain no secret, and a string search is a hundred times faster than the
patterns of all detectors. Required literals are a necessary condition for a match, so that lines
without them can be skipped without losing a finding. RE2 (`FilteredRE2`) and Rust's `regex` use the
same technique.
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

_MAX_WORDS = 64
"""Maximum number of alternative words that are derived from one pattern."""

_RARE_WORD_LENGTH = 6
_MAX_RARE_WORDS = 3
"""Up to this number of words of at least `_RARE_WORD_LENGTH` characters are rarer in code than any
run, and faster to find."""

_MAX_REPEATS = 8
"""Maximum number of repetitions of a part that are expanded into words."""

RUNS = (32, 24, 20)
"""Lengths of runs that are distinguished. They are few so that one pass finds all of them."""

NON_ASCII = r"\x80-\U0010ffff"
"""All characters outside ASCII, for use in a character class of a shape."""

# Every character outside ASCII counts, since classes such as \w and \d match all scripts.
IN_RUN = rf"A-Za-z0-9_\-{NON_ASCII}"
ASCII_IN_RUN = frozenset(string.ascii_letters + string.digits + "_-")


@dataclass(frozen=True, slots=True)
class RequiredLiterals:
    """Alternatives of which a line must contain at least one for a match.

    Attributes:
        words: strings, in lower case; the case of the line is ignored.
        runs: minimum lengths of runs of token characters (`IN_RUN`).
        shapes: simple patterns that match within a line, without look-around. Their character
            classes are ASCII or contain all of `NON_ASCII`, since Hyperscan matches bytes.
    """

    words: frozenset[str] = frozenset()
    runs: frozenset[int] = frozenset()
    shapes: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Convert words to lower case."""
        object.__setattr__(self, "words", frozenset(word.lower() for word in self.words))

    def __or__(self, other: RequiredLiterals) -> RequiredLiterals:
        """Return the literals of either operand."""
        return RequiredLiterals(
            self.words | other.words, self.runs | other.runs, self.shapes | other.shapes
        )


# The letters outside ASCII that case-insensitive patterns treat as ASCII letters.
_ASCII_EQUIVALENTS = {"\u0130": "i", "\u0131": "i", "\u017f": "s", "\u212a": "k"}


def fold_to_ascii(text: str) -> str:
    """Replace the letters that `re.IGNORECASE` treats as ASCII letters by those.

    After that, `lower()` changes no offset.
    """
    if not text.isascii():
        for letter, ascii_letter in _ASCII_EQUIVALENTS.items():
            text = text.replace(letter, ascii_letter)
    return text


def required_literals_of(patterns: Iterable[re.Pattern[str]]) -> RequiredLiterals | None:
    """Return the literals that a match of any of the patterns requires; None if there are none."""
    found = [_of_pattern(pattern) for pattern in patterns]
    if not found or None in found:
        return None
    return reduce(RequiredLiterals.__or__, (literals for literals in found if literals is not None))


def _of_pattern(pattern: re.Pattern[str]) -> RequiredLiterals | None:
    tree = _parser.parse(pattern.pattern, pattern.flags)
    best = _required(_texts(tree))
    longest = _longest_run(tree)
    run = next((length for length in RUNS if length <= longest), None)
    words = _shortest(best or frozenset())
    if run is not None and (_length(words) < _RARE_WORD_LENGTH or len(words) > _MAX_RARE_WORDS):
        return RequiredLiterals(runs=frozenset({run}))
    return RequiredLiterals(words=words) if words else None


@dataclass(frozen=True, slots=True)
class _Texts:
    """The texts that a part of a pattern matches.

    Attributes:
        exact: all texts that it matches; None if they are not known.
        some: if `exact` is None, strings of which every match contains at least one; None if there
            are none.
    """

    exact: frozenset[str] | None
    some: frozenset[str] | None = None


_ANYTHING = _Texts(None)
_NOTHING = _Texts(frozenset({""}))


def _shortest(found: frozenset[str]) -> frozenset[str]:
    """Return the words that contain no other of the words."""
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
    """Return the texts of a sequence: products of neighbouring parts, up to `_MAX_WORDS`."""
    whole = True
    best: frozenset[str] | None = None
    here: frozenset[str] = frozenset({""})
    for op, argument in tree:
        part = _part(op, argument)
        if part.exact is None:
            best, here, whole = _better(_better(best, part.some), here), frozenset({""}), False
        elif len(here) * len(part.exact) > _MAX_WORDS:
            best, here, whole = _better(best, here), part.exact, False
        else:
            here = frozenset(left + right for left in here for right in part.exact)
    if whole:
        return _Texts(here)
    best = _better(best, here)
    return _Texts(None, best if _length(best) else None)


def _part(op: Any, argument: Any) -> _Texts:
    if op is ops.LITERAL:
        # Outside ASCII, a letter can have more than two case variants.
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
        if len(exact) <= _MAX_WORDS:
            return _Texts(exact)
    required = [_required(branch) for branch in branches]
    if None in required:
        return _ANYTHING
    return _Texts(None, frozenset().union(*(found or () for found in required)))


def _repeated(minimum: int, maximum: Any, tree: Iterable[tuple[Any, Any]]) -> _Texts:
    part = _texts(tree)
    # `maximum` may be the parser's MAXREPEAT, which is too large an exponent.
    exponent = min(int(maximum), _MAX_REPEATS)
    if (
        part.exact is not None
        and len(part.exact) ** exponent <= _MAX_WORDS
        and maximum <= _MAX_REPEATS
    ):
        powers = [frozenset({""})]
        for _ in range(int(maximum)):
            powers.append(frozenset(a + b for a in powers[-1] for b in part.exact))
        return _Texts(frozenset().union(*powers[minimum:]))
    if minimum == 0:
        return _ANYTHING
    return _Texts(None, _required(part))


def _longest_run(tree: Iterable[tuple[Any, Any]]) -> int:
    """Return the length of the longest run of token characters that every match contains."""
    longest = here = 0
    for op, argument in tree:
        length = _run_of(op, argument)
        if length is None:
            here = 0
            longest = max(longest, _inner_run(op, argument))
        else:
            here += length
            longest = max(longest, here)
    return longest


def _run_of(op: Any, argument: Any) -> int | None:
    """Return the minimum length of a part if it matches only token characters, else None."""
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
