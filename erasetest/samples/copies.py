"""Find copies of a secret in the text before it, and replace them.

A CLM copies what its prompt contains, whether it was trained on it or not. So what it memorized can
only be seen from prompts that do not contain the secret: not whole, not in part, and not in another
form (quoted, escaped, split over lines, percent-encoded, in base64).

Texts are compared as CRM does ("cue-resistant memorization", ACL 2026): letters and digits only,
compatibility forms and case folded. A part counts as a copy from half of the secret's characters
on, and from six. Characters that all secrets of a format have in common do not count.
"""

from __future__ import annotations

import base64
import binascii
import random
import re
import unicodedata
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from erasetest.samples.decoys import decoy, fixed_characters
from erasetest.support.ranges import merge_ranges

MIN_CHARACTERS = 6
"""Number of characters from which a part of a secret counts as a copy."""

MIN_SHARE = 0.5
"""Share of a secret's characters from which a part of it counts as a copy."""

_ROUNDS = 4
"""Times that copies are replaced: the first replaces all but the rarest encodings."""

_FIXED = "\0"
"""Stands for a character of the secret that does not count; no text has it after folding."""

_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_ESCAPE = re.compile(r"\\(?:u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[^\n])")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}")
_URL_SAFE = str.maketrans("-_", "+/")


@dataclass(frozen=True, slots=True)
class Copies:
    """Copies of a secret in the text before it."""

    spans: tuple[tuple[int, int], ...]
    """Ranges of the text that contain them, in order, not overlapping."""
    cue: float
    """Share of the secret that the text contains: its longest common part, over its length, in
    characters that count."""


@dataclass(frozen=True, slots=True, repr=False)
class _View:
    """A text with an encoding undone and folded; each character has its range in the text."""

    characters: str
    starts: list[int]
    ends: list[int]

    def until(self, end: int) -> str:
        """Return the characters that come from before a place of the text."""
        low, high = 0, len(self.ends)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.ends[middle] <= end else (low, middle)
        return self.characters[:low]


class CopySearch:
    """Finds copies of the secrets of one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._views = [_view(pieces) for pieces in _piecewise(text)]

    def find(self, start: int, end: int, visible: int = 0) -> Copies:
        """Find the copies of the secret `[start, end)` in the text before it.

        Args:
            start: first code point of the secret.
            end: code point after it.
            visible: first code point that the CLM reads.
        """
        secret = self._text[start:end]
        longest, spans = 0.0, []
        for target in _targets(secret):
            size = sum(character != _FIXED for character in target)
            if size < MIN_CHARACTERS:
                continue
            least = max(MIN_CHARACTERS, -int(-size * MIN_SHARE // 1))
            for view in self._views:
                prompt = view.until(start)
                common = _longest_common(target, prompt)
                longest = max(longest, common / size)
                if common >= least:
                    for first, last in _matches(target, prompt, least):
                        spans.append((view.starts[first], view.ends[last - 1]))
        if not spans and longest == 0:
            spans = list(_whole_words(self._text[:start], secret))
            longest = float(bool(spans))
        seen = [span for span in spans if span[1] > visible]
        if spans and not seen:
            longest = 0.0
        return Copies(tuple(merge_ranges(sorted(seen))), longest)


def without_copies(
    text: str, start: int, end: int, kind: str, rng: random.Random
) -> tuple[str, str]:
    """Replace the copies of a secret before it by one decoy.

    Args:
        text: the text.
        start: first code point of the secret, which stays.
        end: code point after it.
        kind: the kind of the secret.
        rng: source of the decoy.

    Returns:
        The text, in which all places stay where they are, and the decoy.
    """
    secret = text[start:end]
    other = decoy(secret, kind, rng)
    text = text.replace(secret, other, text.count(secret, 0, start)) if secret else text
    for _ in range(_ROUNDS):
        spans = CopySearch(text).find(start, end).spans
        if not spans:
            break
        for first, last in spans:
            text = text[:first] + decoy(text[first:last], "", rng) + text[last:]
    return text, other


def _targets(secret: str) -> Iterator[str]:
    """Yield what to search for: the secret, folded, and its decoded form if it is encoded."""
    fixed = fixed_characters(secret)
    yield "".join(
        _FIXED if keep else _folded(character)
        for character, keep in zip(secret, fixed, strict=True)
    )
    if "@" in secret:
        # The local part of an address is often made of a name, which identifies it alone.
        yield _fold(secret.partition("@")[0])
    if _PERCENT.search(secret):
        yield _fold(urllib.parse.unquote(secret))
    decoded = _from_base64(secret)
    if decoded.isprintable():
        yield _fold(decoded)


def _fold(text: str) -> str:
    return "".join(map(_folded, text))


def _folded(character: str) -> str:
    """Return the letters and digits of a character's compatibility form, in one case."""
    if character.isascii():
        return character.lower() if character.isalnum() else ""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", character).casefold()))


Piece = tuple[str, int, int]
"""A decoded text, and the range that it comes from."""


def _piecewise(text: str) -> Iterator[Iterator[Piece]]:
    """Yield the text in pieces, once as it is and once for each encoding that it has."""
    yield ((character, at, at + 1) for at, character in enumerate(text))
    if _PERCENT.search(text):
        yield _decoding(text, _PERCENT, urllib.parse.unquote)
    if "\\" in text:
        yield _decoding(text, _ESCAPE, _unescaped)
    for run in _BASE64.finditer(text):
        decoded = _from_base64(run.group())
        if decoded:
            yield iter([(decoded, *run.span())])


def _decoding(text: str, pattern: re.Pattern[str], decode: Callable[[str], str]) -> Iterator[Piece]:
    """Yield the characters of a text, and the matches of a pattern decoded."""
    at = 0
    for match in pattern.finditer(text):
        yield from ((text[i], i, i + 1) for i in range(at, match.start()))
        yield decode(match.group()), match.start(), match.end()
        at = match.end()
    yield from ((text[i], i, i + 1) for i in range(at, len(text)))


def _unescaped(escape: str) -> str:
    """Return the character that an escape of a string literal encodes."""
    code = escape[1:]
    if len(code) > 1:
        return chr(int(code[1:], 16))
    return " " if code in "abfnrtv0" else code


def _from_base64(text: str) -> str:
    """Return the text that a run of base64 encodes; nothing if it is not the encoding of a text."""
    encoded = text.rstrip("=").translate(_URL_SAFE)
    if len(encoded) % 4 == 1 or not encoded.isascii():
        return ""
    try:
        data = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        return data.decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""


def _view(pieces: Iterator[Piece]) -> _View:
    characters: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for decoded, start, end in pieces:
        for character in _fold(decoded):
            characters.append(character)
            starts.append(start)
            ends.append(end)
    return _View("".join(characters), starts, ends)


def _grams(text: str, size: int) -> set[str]:
    return {text[i : i + size] for i in range(len(text) - size + 1)}


def _longest_common(target: str, prompt: str) -> int:
    """Return the length of the longest common substring that has no fixed character."""
    low, high = 0, max(map(len, target.split(_FIXED)))
    while low < high:
        middle = (low + high + 1) // 2
        grams = {gram for gram in _grams(target, middle) if _FIXED not in gram}
        found = any(prompt[j : j + middle] in grams for j in range(len(prompt) - middle + 1))
        low, high = (middle, high) if found else (low, middle - 1)
    return low


def _matches(target: str, prompt: str, size: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges of the prompt that are parts of the target of at least this size."""
    grams = {gram for gram in _grams(target, size) if _FIXED not in gram}
    places = range(len(prompt) - size + 1)
    yield from merge_ranges((j, j + size) for j in places if prompt[j : j + size] in grams)


def _whole_words(prompt: str, secret: str) -> Iterator[tuple[int, int]]:
    """Yield the places of a short secret that are not parts of longer words."""
    if not secret.strip():
        return
    pattern = rf"(?<![^\W_]){re.escape(secret)}(?![^\W_])"
    for match in re.finditer(pattern, prompt):
        yield match.span()
