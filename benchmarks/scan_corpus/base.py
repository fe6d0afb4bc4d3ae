"""Code around the secrets: pieces of the standard library and of templates, with fresh names."""

from __future__ import annotations

import functools
import random
import re
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import permutations
from operator import itemgetter
from pathlib import Path

from .languages import LANGUAGES

_MAX_SOURCE = 2_000_000
"""Approximate number of characters of the standard library that are used."""

_MIN_PIECE, _MAX_PIECE = 120, 1_500
"""Approximate minimum and maximum number of characters of a piece of the standard library."""

_RESERVED_LIST = (
    "assert async await break class continue elif else except finally from global import lambda "
    "nonlocal pass raise return self super True False None while with yield property "
    "staticmethod classmethod"
)
_RESERVED = frozenset(_RESERVED_LIST.split())

# Code that contains or resembles a secret; no piece matches.
_SUSPICIOUS = re.compile(
    r"@[\w-]+\.\w|(?:[0-9]+\.){3}[0-9]|[0-9A-Fa-f]{1,4}:[0-9A-Fa-f:]{6}|[0-9A-Fa-f]{16}"
    r"|[\"'][A-Za-z0-9+/=_-]{20,}[\"']|PRIVATE KEY|://[^\s/]*:[^\s/]*@|[A-Za-z0-9+/=_-]{41}"
    r"|(?i:pass|pwd|secret|key|token|auth|phrase|cred)\w*[\"'\]]*\s*[:=(,]+\s*[\"'][^\"'\s]{6,}"
)
_NOT_RENAMED = re.compile(r"pass|pwd|secret|key|token|auth|cred", re.IGNORECASE)
_IDENTIFIER = re.compile(r"(?<![\w.%])[a-z][a-z_]{3,}\b(?!\()")
_WORD_LIST = (
    "batch block border bucket buffer cache cell chunk column copy count cursor delta depth "
    "edge entry error event field filter first flag flow frame graph group handle height image "
    "index inner input items label layer left level limit line link local lock loop margin "
    "match merge model mode name node offset order outer output owner page pair parent part "
    "patch phase pixel plan point pool port prefix price query queue range rank rate ratio "
    "record region remote reply result right root route row sample scale scan scope score "
    "screen segment shape share side signal size slice slot source space span stage state step "
    "store stream style table tail target task text tile timer topic trace track tree unit "
    "upper usage value vector view weight width window worker zone"
)
WORDS = _WORD_LIST.split()
"""Words that names are composed of; none relates to secrets."""
_LOWER, _PASCAL, _UPPER, _NUMBERS = 12, 6, 6, 10
_FIELDS = "abcdefghi\0\0\0" + "ABCDEF" + "UVWXYZ" + "0123456789"
_SLOT = re.compile(r"\$([a-iA-FU-Z0-9])")

Pick = Callable[[tuple[str, ...]], "str | tuple[str, ...]"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of code with placeholders, and a function that picks the names for them."""

    template: str
    pick: Pick


class Names:
    """Fresh names, drawn as slices of shuffled lists."""

    def __init__(self, seed: int, camel: bool) -> None:
        rng = random.Random(seed)
        pairs = list(permutations(WORDS, 2))
        rng.shuffle(pairs)
        self._lower = [a + b.title() if camel else f"{a}_{b}" for a, b in pairs]
        self._pascal = [a.title() + b.title() for b, a in pairs]
        self._upper = [f"{a}_{b}".upper() for a, b in pairs]
        self._numbers = [str(rng.randrange(2, 5000)) for _ in pairs]
        self._count = len(pairs) - max(_LOWER, _NUMBERS)

    def word(self, rng: random.Random) -> str:
        """Return one of the lower-case names."""
        return self._lower[int(rng.random() * self._count)]

    def fill(self, piece: Piece, rng: random.Random) -> str:
        """Fill the placeholders of a piece with fresh names."""
        at = int(rng.random() * self._count)
        other = int(rng.random() * self._count)
        names = (
            *self._lower[at : at + _LOWER],
            *self._pascal[other : other + _PASCAL],
            *self._upper[at : at + _UPPER],
            *self._numbers[other : other + _NUMBERS],
        )
        return piece.template % piece.pick(names)


@functools.cache
def pieces(language: str, seed: int) -> tuple[Piece, ...]:
    """Return the pieces that files of a language are composed of."""
    blocks = LANGUAGES[language].blocks
    if not blocks:
        return _library(seed)
    return tuple(
        _piece(
            _SLOT.sub("%s", block.replace("%", "%%")),
            [_FIELDS.index(match[1]) for match in _SLOT.finditer(block)],
        )
        for block in blocks
    )


@functools.cache
def _library(seed: int) -> tuple[Piece, ...]:
    return tuple(_renamable(text) for text in library_pieces(seed))


def library_pieces(seed: int) -> Iterator[str]:
    """Yield top-level parts of modules of the standard library that cannot contain a secret.

    The rules are independent of the detectors, so that the corpus stays the same when those change.
    """
    folder = Path(sysconfig.get_paths()["stdlib"])
    modules = sorted(path for path in folder.glob("**/*.py") if _is_code(path.relative_to(folder)))
    random.Random(seed).shuffle(modules)
    taken = 0
    for path in modules:
        if taken > _MAX_SOURCE:
            return
        text = path.read_text(encoding="utf-8", errors="ignore")
        taken += len(text)
        for part in text.split("\n\n\n"):
            for chunk in _chunks(part):
                if len(chunk) >= _MIN_PIECE and chunk.isascii() and not _SUSPICIOUS.search(chunk):
                    yield chunk.strip("\n") + "\n"


def _chunks(part: str) -> Iterator[str]:
    """Yield a top-level part, or groups of its paragraphs of at least `_MAX_PIECE` characters."""
    chunk: list[str] = []
    size = 0
    for paragraph in part.split("\n\n"):
        chunk.append(paragraph)
        size += len(paragraph)
        if size > _MAX_PIECE:
            yield "\n\n".join(chunk)
            chunk, size = [], 0
    yield "\n\n".join(chunk)


def _is_code(path: Path) -> bool:
    excluded = {"site-packages", "test", "tests", "idlelib", "lib2to3", "encodings", "pydoc_data"}
    return not excluded & set(path.parts)


def _renamable(text: str) -> Piece:
    counts = Counter(_IDENTIFIER.findall(text))
    chosen = {
        name: slot
        for slot, (name, count) in enumerate(
            (name, count)
            for name, count in counts.most_common()
            if name not in _RESERVED and not _NOT_RENAMED.search(name)
        )
        if slot < _LOWER and count > 1
    }
    slots: list[int] = []

    def replace(match: re.Match[str]) -> str:
        slot = chosen.get(match.group())
        if slot is None:
            return match.group()
        slots.append(slot)
        return "%s"

    return _piece(_IDENTIFIER.sub(replace, text.replace("%", "%%")), slots)


def _piece(template: str, slots: list[int]) -> Piece:
    return Piece(template, itemgetter(*slots) if slots else lambda _: ())
