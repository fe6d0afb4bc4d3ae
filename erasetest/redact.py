"""The type that holds sensitive text, and the filter that masks it where it slipped through."""

from __future__ import annotations

import html
import json
import urllib.parse
from collections.abc import Iterable
from typing import Any, NoReturn, final

WINDOW = 8
"""Characters of a secret that, found together in an output, count as a leak of it."""

SHORTEST = 4
"""Text shorter than this stands in any output by chance; it is not masked."""


@final
class Masked:
    """Text that shows itself to nobody who does not ask for it by `reveal`.

    `repr`, `str`, `format` and pickle give its length alone; an unpickled copy has lost the text
    and raises on `reveal`. It is not a `str`, so that no formatting, logging or assertion rewriting
    can reach the text by accident.
    """

    __slots__ = ("_length", "_text")

    def __init__(self, text: str) -> None:
        self._text: str | None = text
        self._length = len(text)

    def reveal(self) -> str:
        """The text itself. Keep it out of locals of frames that may raise."""
        if self._text is None:
            raise ValueError("this text was masked when it was pickled: read the manifest again")
        return self._text

    def __len__(self) -> int:
        return self._length

    def __repr__(self) -> str:
        return f"<masked, {self._length} characters>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Masked) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Masked, self._text))

    def __copy__(self) -> Masked:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Masked:
        return self

    def __reduce__(self) -> tuple[Any, tuple[int]]:
        return _masked_only, (self._length,)

    def __iter__(self) -> NoReturn:
        raise TypeError("masked text cannot be iterated: call reveal()")


def _escaped(text: str) -> tuple[str, ...]:
    """Text as it stands inside a repr, a JSON string, bytes, XML or a URL."""
    return (
        repr(text)[1:-1],
        repr('"' + text)[2:-1],
        ascii(text)[1:-1],
        ascii('"' + text)[2:-1],
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        repr(text.encode("utf-8", "surrogatepass"))[2:-1],
        html.escape(text),
        html.escape(text, quote=False),
        json.dumps(text)[1:-1].replace("/", "\\/"),
        urllib.parse.quote(text, errors="replace"),
        urllib.parse.quote(text, safe="", errors="replace"),
        urllib.parse.quote_plus(text, errors="replace"),
    )


def _forms(text: str) -> set[str]:
    """Text as it is, escaped once, and escaped twice: JSON in a repr, a URL in JSON."""
    once = {text, *_escaped(text)}
    return once.union(*(_escaped(form) for form in once - {text}))


def windows(text: str) -> set[str]:
    """All runs of `WINDOW` characters of a text."""
    return {text[i : i + WINDOW] for i in range(len(text) - WINDOW + 1)}


def masked_parts(secret: Masked) -> set[str]:
    """What gives a secret away where it is found: runs of its forms, and whole forms if short."""
    parts: set[str] = set()
    for form in _forms(secret.reveal()):
        if len(form) >= WINDOW:
            parts |= windows(form)
        elif len(form) >= SHORTEST:
            parts.add(form)
    return parts


def _masked_only(length: int) -> Masked:
    masked = Masked("")
    masked._text = None
    masked._length = length
    return masked


class Redactor:
    """Replaces every run of characters that stands in a known secret.

    A run is masked when `WINDOW` of its characters in a row occur in a secret, so that a secret cut
    short by an ellipsis or split over lines is caught as well; a shorter secret must occur whole.
    """

    def __init__(self, secrets: Iterable[Masked]) -> None:
        self._windows: set[str] = set()
        self._short: set[str] = set()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: Masked) -> None:
        """Mask this text as well, from now on."""
        for part in masked_parts(secret):
            (self._windows if len(part) == WINDOW else self._short).add(part)

    def __call__(self, text: str) -> str:
        """The text with every secret replaced by `[masked]`."""
        covered = bytearray(len(text))
        for i in range(len(text) - WINDOW + 1):
            if text[i : i + WINDOW] in self._windows:
                covered[i : i + WINDOW] = b"\1" * WINDOW
        for short in self._short:
            at = text.find(short)
            while at >= 0:
                covered[at : at + len(short)] = b"\1" * len(short)
                at = text.find(short, at + 1)
        if not any(covered):
            return text
        out: list[str] = []
        inside = False
        for character, hidden in zip(text, covered, strict=True):
            if not hidden:
                out.append(character)
            elif not inside:
                out.append("[masked]")
            inside = bool(hidden)
        return "".join(out)

    def finds(self, text: str) -> bool:
        """Whether the text holds a secret."""
        return self(text) != text
