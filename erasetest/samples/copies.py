"""Find copies of a secret in the text before it, and replace them.

A CLM copies what its prompt contains, whether it was trained on it or not. So what it memorized can
only be seen from prompts that do not contain the secret: not whole, not in part, and not in another
form (quoted, escaped, split over lines, percent-encoded, in base64 or hexadecimal).

Texts are compared as CRM does ("cue-resistant memorization", ACL 2026): letters and digits only,
compatibility forms and case folded. A part counts as a copy from half of the secret's characters
on, and from six. Characters that all secrets of a format have in common do not count.
"""

from __future__ import annotations

import bisect
import itertools
import math
import random
import unicodedata
import urllib.parse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from erasetest.samples.decoys import decoy, fixed_characters
from erasetest.samples.text_encodings import Piece, decoded_forms, readings
from erasetest.support.ranges import merge_ranges

MIN_CHARACTERS = 6
"""Number of characters from which a part of a secret counts as a copy."""

MIN_SHARE = 0.5
"""Share of a secret's characters from which a part of it counts as a copy."""

_ROUNDS = 4
"""Times that copies are replaced: the first replaces all but the rarest encodings."""

_FIXED, _BREAK = "\0", "\1"
"""Stand for a character of the secret that does not count, and for what is left out between pieces
of a reading; no text has them after folding."""


@dataclass(frozen=True, slots=True)
class Copies:
    """Copies of a secret in the text before it."""

    spans: tuple[tuple[int, int], ...]
    """Ranges of the text that contain them, in order, not overlapping."""
    cue: float
    """Share of the secret that the text contains: its longest common part, over its length, in
    characters that count."""


@dataclass(frozen=True, slots=True, repr=False)
class _Target:
    """What to search for: a folded text, and the character of the secret that each is of."""

    characters: str
    places: list[int] | None
    """None if they are not characters of the secret, but of what it encodes."""
    is_secret: bool
    """Whether it is all of the secret."""


@dataclass(frozen=True, slots=True, repr=False)
class _View:
    """A text with an encoding undone and folded; each character has its piece of the text."""

    characters: str
    pieces: list[tuple[Piece, int]]
    """For each character its piece, and its index in what the piece says."""

    def between(self, start: int, end: int) -> tuple[int, int]:
        """Return the range of the characters that come from a range of the text, whole pieces."""
        first = bisect.bisect_left(self.pieces, start, key=lambda piece: piece[0].start)
        last = bisect.bisect_right(self.pieces, end, key=lambda piece: piece[0].end)
        return first, max(first, last)


@dataclass(frozen=True, slots=True, repr=False)
class Match:
    """A part of a target in a view: `length` characters from `first` on."""

    view: _View
    target: _Target
    first: int
    offset: int
    """Index in the target."""
    length: int

    @property
    def span(self) -> tuple[int, int]:
        """Its range of the text."""
        pieces = self.view.pieces
        return pieces[self.first][0].start, pieces[self.first + self.length - 1][0].end


class CopySearch:
    """Finds copies of the secrets of one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._views = [_view(pieces) for pieces in readings(text)]

    def find(self, start: int, end: int, kind: str = "", visible: int = 0) -> Copies:
        """Find the copies of the secret `[start, end)` in the text before it.

        Args:
            start: first code point of the secret.
            end: code point after it.
            kind: its kind; for an e-mail address, its part before `@` is a copy too.
            visible: first code point that the CLM reads.
        """
        found = self.matches(start, end, kind, visible)
        shares = [match.length / _count(match.target) for match in found]
        shares.append(self._longest_part(start, end, kind, visible))
        spans = sorted(match.span for match in found)
        return Copies(tuple(merge_ranges(spans)), max(shares))

    def matches(self, start: int, end: int, kind: str, visible: int = 0) -> list[Match]:
        """Return the parts of the secret, in the text that is read before it, that are copies."""
        found: list[Match] = []
        for target in _targets(self._text[start:end], kind):
            size = _count(target)
            least = max(MIN_CHARACTERS, math.ceil(size * MIN_SHARE))
            for view in self._views:
                places = view.between(visible, start)
                if size >= MIN_CHARACTERS:
                    found += _parts(view, target, places, least)
                elif target.is_secret:
                    whole = _whole(self._text[start:end])
                    words = _parts(view, whole, places, len(whole.characters))
                    found += (match for match in words if self._is_word(match, start, end))
        return found

    def _is_word(self, match: Match, start: int, end: int) -> bool:
        """Return whether a match of a short secret is all of it, and not a part of a word."""
        first, last = match.span
        around = self._text[first - 1 : first] + self._text[last : last + 1]
        found, secret = self._text[first:last], self._text[start:end]
        return not any(map(str.isalnum, around)) and _core(found) == _core(secret)

    def _longest_part(self, start: int, end: int, kind: str, visible: int) -> float:
        """Return the largest share of the secret that is in the text before it as it stands."""
        first, last = self._views[0].between(visible, start)
        prompt = self._views[0].characters[first:last]
        return max(
            (
                _longest_common(target.characters, prompt) / _count(target)
                for target in _targets(self._text[start:end], kind)
                if _count(target) >= MIN_CHARACTERS
            ),
            default=0.0,
        )


def without_copies(
    text: str, start: int, end: int, kind: str, other: str, begin: int = 0
) -> str | None:
    """Replace the copies of a secret before it by copies of another text.

    Each in its own way: in the same case and encoding, and by the same part of the other text.
    What cannot be written so is replaced by random letters and digits.

    Args:
        text: the text.
        start: first code point of the secret, which stays.
        end: code point after it.
        kind: the kind of the secret.
        other: a text of the secret's length.
        begin: first code point from which copies are replaced.

    Returns:
        The text, in which all places stay where they are; None where copies cannot be replaced.
    """
    if begin:
        changed = without_copies(text[begin:end], start - begin, end - begin, kind, other)
        return None if changed is None else text[:begin] + changed + text[end:]
    # The seed holds no text: a lone surrogate could not be one.
    secret, rng = text[start:end], random.Random(end * (end + 1) + start)
    for number in range(_ROUNDS + 1):
        matches = CopySearch(text).matches(start, end, kind)
        if not matches:
            return text
        taken: list[tuple[int, int]] = []
        for match in sorted(matches, key=lambda match: -match.length):
            first, last = match.span
            if any(first < other_last and other_first < last for other_first, other_last in taken):
                continue
            taken.append(match.span)
            # What is left after the first time cannot be written as a part of the other text.
            altered = _rewritten(text, match, secret, other) if number == 0 else ""
            if len(altered) != last - first:
                altered = decoy(text[first:last], "", rng)
            text = text[:first] + altered + text[last:]
    return None


def _rewritten(text: str, match: Match, secret: str, other: str) -> str:
    """Return the range of a match with the same part of another text; empty if that cannot be."""
    if match.target.places is None:
        return ""
    written: dict[Piece, list[str]] = {}
    for number in range(match.length):
        piece, index = match.view.pieces[match.first + number]
        place = match.target.places[match.offset + number]
        says = written.setdefault(piece, list(piece.says))
        says[index] = _in_case_of(other[place], says[index], secret[place])
    begin, end = match.span
    parts = [text[begin:end]]
    for piece, letters in reversed(written.items()):
        if piece.write is None:
            return ""
        encoded = text[piece.start : piece.end]
        altered = piece.write(encoded, "".join(letters))
        if len(altered) != len(encoded):
            return ""
        head = parts.pop()
        parts += [head[piece.end - begin :], altered, head[: piece.start - begin]]
    return "".join(reversed(parts))


def _in_case_of(character: str, copied: str, original: str) -> str:
    """Return a character in the other case if a copy of another character is."""
    if copied == original:
        return character
    changed = character.upper() if copied == original.upper() else character.lower()
    return changed if len(changed) == 1 else character


def _targets(secret: str, kind: str) -> Iterator[_Target]:
    """Yield what to search for: the secret, folded, and its decoded form if it is encoded."""
    folded = [
        (letter, place)
        for place, (character, keep) in enumerate(
            zip(secret, fixed_characters(secret), strict=True)
        )
        for letter in (_FIXED if keep else _folded(character))
    ]
    yield _Target("".join(letter for letter, _ in folded), [place for _, place in folded], True)
    at = secret.find("@") if kind == "email" else -1
    if at > 0:
        # It is often made of a name, which identifies the address alone.
        name = [(letter, place) for letter, place in folded if place < at]
        yield _Target("".join(letter for letter, _ in name), [place for _, place in name], False)
    for says in decoded_forms(secret):
        yield _Target("".join(map(_folded, says)), None, False)


def _whole(secret: str) -> _Target:
    """Return a secret with the characters that all secrets of its format have."""
    folded = [(letter, place) for place, one in enumerate(secret) for letter in _folded(one)]
    return _Target("".join(letter for letter, _ in folded), [place for _, place in folded], True)


def _count(target: _Target) -> int:
    """Return the number of characters that count."""
    return len(target.characters) - target.characters.count(_FIXED)


def _folded(character: str) -> str:
    """Return the letters and digits of a character's compatibility form, in one case."""
    if character.isascii():
        return character.lower() if character.isalnum() else ""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", character).casefold()))


def _core(text: str) -> str:
    """Return a text without percent-encoding and case, from its first letter to its last."""
    plain = urllib.parse.unquote(text).casefold()
    inner = [place for place, character in enumerate(plain) if character.isalnum()]
    return plain[inner[0] : inner[-1] + 1] if inner else ""


def _view(pieces: Iterable[Piece]) -> _View:
    characters: list[str] = []
    origins: list[tuple[Piece, int]] = []
    end = 0
    for piece in pieces:
        if piece.start != end:
            characters.append(_BREAK)
            origins.append((piece, 0))
        end = piece.end
        for index, character in enumerate(piece.says):
            for letter in _folded(character):
                characters.append(letter)
                origins.append((piece, index))
    return _View("".join(characters), origins)


def _grams(text: str, size: int) -> dict[str, int]:
    """Return the parts of this size that have no fixed character, with the last place of each."""
    found = {text[i : i + size]: i for i in range(len(text) - size + 1)}
    return {gram: place for gram, place in found.items() if _FIXED not in gram}


def _longest_common(target: str, prompt: str) -> int:
    """Return the length of the longest common substring that has no fixed character."""
    low, high = 0, max(map(len, target.split(_FIXED)))
    while low < high:
        middle = (low + high + 1) // 2
        grams = _grams(target, middle)
        found = any(prompt[j : j + middle] in grams for j in range(len(prompt) - middle + 1))
        low, high = (middle, high) if found else (low, middle - 1)
    return low


def _parts(view: _View, target: _Target, places: tuple[int, int], size: int) -> Iterator[Match]:
    """Yield the parts of a target in a range of a view, as long as they can be, from a size on."""
    grams = _grams(target.characters, size) if size else {}
    at, end = places
    while at + size <= end:
        offset = grams.get(view.characters[at : at + size])
        if offset is None:
            at += 1
            continue
        longest = target.characters[offset:]
        pairs = zip(view.characters[at : min(end, at + len(longest))], longest, strict=False)
        length = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
        yield Match(view, target, at, offset, length)
        at += length
