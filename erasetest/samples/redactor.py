"""The filter that masks secrets in any text that is about to be shown."""

from __future__ import annotations

import html
import json
import re
import urllib.parse
from collections.abc import Iterable, Iterator

from erasetest.samples.masked import Masked
from erasetest.samples.text_views import compact, same_case, views, without_codes

WINDOW = 8
"""Characters of a secret that, found together in an output, count as a leak of it."""

SHORTEST = 4
"""Text shorter than this stands in any output by chance; it is not masked."""


MARK = "[masked]"

_CONTEXT = 160
"""Characters of a stream that are remembered to recognize a secret that comes in pieces."""
_SPACE = re.compile(r"\s")
_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")
_NOT_XML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")
"""Text that nothing escapes."""
_LINK = "\x1b]8;"


def _escaped(text: str) -> tuple[str, ...]:
    """Text as it stands inside a repr, a JSON string, bytes, XML or a URL."""
    data = text.encode("utf-8", "surrogatepass")
    return (
        repr(text)[1:-1],
        repr('"' + text)[2:-1],
        ascii(text)[1:-1],
        ascii('"' + text)[2:-1],
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        repr(data)[2:-1],
        html.escape(text),
        html.escape(text, quote=False),
        _xml_attribute(text),
        json.dumps(text)[1:-1].replace("/", "\\/"),
        urllib.parse.quote(text, errors="replace"),
        urllib.parse.quote(text, safe="", errors="replace"),
        urllib.parse.quote_plus(text, errors="replace"),
    )


def _xml_attribute(text: str) -> str:
    """Text in an attribute, where pytest writes what XML does not allow as `#x1B`."""
    escaped = _NOT_XML.sub(lambda match: f"#x{ord(match.group()):02X}", text)
    escaped = html.escape(escaped, quote=False).replace('"', "&quot;")
    return escaped.replace("\r", "&#13;").replace("\n", "&#10;").replace("\t", "&#09;")


def _encoded(text: str) -> tuple[str, ...]:
    """Text as bytes that are shown without their NULs, or read as Latin-1."""
    if text.isascii():
        # UTF-16 is ASCII and NULs, which a view takes away.
        return ()
    encodings = ("utf-8", "utf-16-le", "utf-16-be")
    data = [text.encode(encoding, "surrogatepass") for encoding in encodings]
    latin = [one.replace(b"\0", b"").decode("latin-1") for one in data]
    return (*latin, *(repr(one)[2:-1] for one in data))


def _forms(text: str) -> set[str]:
    """Text as it is, escaped once, and escaped twice: JSON in a repr, a URL in JSON."""
    if _PLAIN.fullmatch(text):
        return {text}
    once = {text, *_escaped(text), *_encoded(text)}
    twice = once.union(*(_escaped(form) for form in once - {text}))
    return twice | {without_codes(form) for form in twice}


def windows(text: str) -> set[str]:
    """All runs of `WINDOW` characters of a text."""
    return {text[i : i + WINDOW] for i in range(len(text) - WINDOW + 1)}


def masked_parts(secret: Masked, *, any_case: bool = False) -> set[str]:
    """What gives a secret away where it is found: runs of its forms, and whole forms if short."""
    text = secret.reveal()
    if len(text) < SHORTEST:
        return set()
    forms = _forms(text)
    if any_case:
        forms = {form.casefold() for form in forms}
    parts: set[str] = set()
    for form in forms:
        if len(form) >= WINDOW:
            parts |= windows(form)
            parts |= windows(compact(form)) if _SPACE.search(form) else set()
        elif len(form) >= SHORTEST:
            parts.add(form)
    return parts


def shown_parts(text: str) -> set[str]:
    """What `masked_parts` in any case may hold where this text gives a part of a secret away."""
    parts: set[str] = set()
    for view in views(text):
        forwards = same_case(view).text
        for one in (forwards, forwards[::-1]):
            for size in [WINDOW] if view.loose else range(SHORTEST, WINDOW + 1):
                parts.update(one[i : i + size] for i in range(len(one) - size + 1))
    return parts


class Redactor:
    """Replaces every run of characters that stands in a known secret.

    A run is masked when `WINDOW` of its characters in a row occur in a secret, so that a secret cut
    short by an ellipsis or split over lines is caught as well; a shorter secret must occur whole.
    Runs are looked for in every view of a text (`text_views`), forwards and backwards. With
    `any_case`, letters of the other case count as the same.
    """

    def __init__(self, secrets: Iterable[Masked], *, any_case: bool = False) -> None:
        # Here, because the pytest plugin must load without numpy where nothing is masked.
        from erasetest.samples.part_search import PartSearch

        self._any_case = any_case
        self._search = PartSearch(
            {part for secret in secrets for part in masked_parts(secret, any_case=any_case)}
        )

    def __call__(self, text: str) -> str:
        """The text with every secret replaced by `[masked]`."""
        return masked(text, self.runs(text))

    def finds(self, text: str) -> bool:
        """Whether the text holds a secret."""
        return any(True for _ in self._found(text))

    def runs(self, text: str) -> list[tuple[int, int]]:
        """The ranges of a text to mask, in order and apart from each other."""
        runs: list[tuple[int, int]] = []
        for start, end in sorted(self._found(text)):
            if runs and start <= runs[-1][1]:
                runs[-1] = (runs[-1][0], max(end, runs[-1][1]))
            else:
                runs.append((start, end))
        return runs

    def _found(self, text: str) -> Iterator[tuple[int, int]]:
        if len(text) < SHORTEST or not self._search:
            return
        for view in views(text):
            read = same_case(view) if self._any_case else view
            for run in self._search.find(read.text, short=not view.loose):
                yield read.span(*run)


class StreamRedactor:
    """Masks a text that comes in pieces.

    What was written last is remembered: a secret that comes letter by letter is masked from its
    `WINDOW`th character on, without holding back what a reader waits for.
    """

    def __init__(self) -> None:
        self._context = ""
        self._hidden = False
        """Whether the last character was masked."""

    def __call__(self, redactor: Redactor, text: str) -> str:
        """The next piece, masked."""
        begin = len(self._context)
        whole = self._context + text
        runs = [(max(a, begin), b) for a, b in redactor.runs(whole) if b > begin]
        out = masked(whole, runs)[begin:]
        if self._hidden and runs and runs[0][0] == begin:
            # The mark stands there already.
            out = out.removeprefix(MARK)
        if text:
            self._hidden = bool(runs) and runs[-1][1] == len(whole)
            self._context = whole[-_CONTEXT:]
        return out


def masked(text: str, runs: Iterable[tuple[int, int]]) -> str:
    """A text with a mark in the place of each run, in order."""
    out: list[str] = []
    at = 0
    for start, end in runs:
        out += text[at:start], MARK, _ended(text[start:end])
        at = end
    out.append(text[at:])
    return "".join(out)


def _ended(run: str) -> str:
    """What ends the colours and links that a masked run began or ended on a terminal."""
    return ("\x1b[0m" if _COLOURS.search(run) else "") + ("\x1b]8;;\x1b\\" if _LINK in run else "")
