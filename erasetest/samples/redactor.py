"""The filter that masks secrets in output."""

from __future__ import annotations

import html
import json
import re
import urllib.parse
from collections.abc import Iterable, Iterator

from erasetest.samples.masked import Masked
from erasetest.samples.text_views import compact, same_case, views, without_codes

WINDOW = 8
"""Number of consecutive characters of a secret that count as a leak of it."""

MIN_LENGTH = 4
"""Minimum length of a secret that is masked: shorter text occurs in any output by chance."""

MARK = "[masked]"

_CONTEXT = 160
"""Number of characters of a stream that are kept to recognize a secret written in pieces."""
_SPACE = re.compile(r"\s")
_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")
_NOT_XML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")
"""Text that no encoding below escapes."""
_LINK = "\x1b]8;"


def _escaped(text: str) -> tuple[str, ...]:
    """Return the text as written inside a repr, a JSON string, bytes, XML or a URL."""
    data = text.encode("utf-8", "surrogatepass")
    # With a `"` in front: in a string that contains both quotes, repr escapes the single ones.
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
    """Return the text as an XML attribute; pytest writes characters that XML forbids as `#x1B`."""
    escaped = _NOT_XML.sub(lambda match: f"#x{ord(match.group()):02X}", text)
    escaped = html.escape(escaped, quote=False).replace('"', "&quot;")
    return escaped.replace("\r", "&#13;").replace("\n", "&#10;").replace("\t", "&#09;")


def _encoded(text: str) -> tuple[str, ...]:
    """Return non-ASCII text as bytes without NULs, decoded as Latin-1 or written by repr."""
    if text.isascii():
        # UTF-16 of ASCII is the text with NULs, which a view removes.
        return ()
    encodings = ("utf-8", "utf-16-le", "utf-16-be")
    data = [text.encode(encoding, "surrogatepass") for encoding in encodings]
    latin = [one.replace(b"\0", b"").decode("latin-1") for one in data]
    return (*latin, *(repr(one)[2:-1] for one in data))


def _forms(text: str) -> set[str]:
    """Return the text unescaped, escaped once and escaped twice (JSON in a repr, a URL in JSON)."""
    if _PLAIN.fullmatch(text):
        return {text}
    once = {text, *_escaped(text), *_encoded(text)}
    twice = once.union(*(_escaped(form) for form in once - {text}))
    return twice | {without_codes(form) for form in twice}


def windows(text: str) -> set[str]:
    """Return all substrings of `WINDOW` characters."""
    return {text[i : i + WINDOW] for i in range(len(text) - WINDOW + 1)}


def masked_parts(secret: Masked, *, any_case: bool = False) -> set[str]:
    """Return the strings that reveal a secret: windows of its forms, and short forms whole."""
    text = secret.reveal()
    if len(text) < MIN_LENGTH:
        return set()
    forms = _forms(text)
    if any_case:
        forms = {form.casefold() for form in forms}
    parts: set[str] = set()
    for form in forms:
        if len(form) >= WINDOW:
            parts |= windows(form)
            parts |= windows(compact(form)) if _SPACE.search(form) else set()
        elif len(form) >= MIN_LENGTH:
            parts.add(form)
    return parts


def shown_parts(text: str) -> set[str]:
    """Return all substrings of a text that `masked_parts(…, any_case=True)` may contain.

    The text reveals a secret if the two sets intersect.
    """
    parts: set[str] = set()
    for view in views(text):
        folded = same_case(view).text
        for direction in (folded, folded[::-1]):
            for size in [WINDOW] if view.loose else range(MIN_LENGTH, WINDOW + 1):
                parts.update(direction[i : i + size] for i in range(len(direction) - size + 1))
    return parts


class Redactor:
    """Filter that replaces all parts of known secrets in a text.

    Every substring of `WINDOW` characters of a secret is masked, so that secrets that are cut by an
    ellipsis or split over lines are found too; a shorter secret must occur whole. Every view of the
    text is searched (`text_views`), forwards and backwards. `any_case` ignores the case of letters.
    """

    def __init__(self, secrets: Iterable[Masked], *, any_case: bool = False) -> None:
        # Not at the top: the pytest plugin must load without numpy.
        from erasetest.samples.part_search import PartSearch

        self._any_case = any_case
        self._search = PartSearch(
            {part for secret in secrets for part in masked_parts(secret, any_case=any_case)}
        )

    def __call__(self, text: str) -> str:
        """Return the text with every part of a secret replaced by `[masked]`."""
        return masked(text, self.runs(text))

    def finds(self, text: str) -> bool:
        """Return whether the text contains a part of a secret."""
        return any(True for _ in self._found(text))

    def runs(self, text: str) -> list[tuple[int, int]]:
        """Return the ranges of a text to mask, sorted and disjoint."""
        runs: list[tuple[int, int]] = []
        for start, end in sorted(self._found(text)):
            if runs and start <= runs[-1][1]:
                runs[-1] = (runs[-1][0], max(end, runs[-1][1]))
            else:
                runs.append((start, end))
        return runs

    def _found(self, text: str) -> Iterator[tuple[int, int]]:
        if len(text) < MIN_LENGTH or not self._search:
            return
        for view in views(text):
            searched = same_case(view) if self._any_case else view
            for run in self._search.find(searched.text, short=not view.loose):
                yield searched.span(*run)


class StreamRedactor:
    """Filter for a text that is written in pieces.

    The last characters written are kept, so that a secret that is written letter by letter is
    masked from its `WINDOW`th character on. Output is never delayed.
    """

    def __init__(self) -> None:
        self._context = ""
        self._ends_masked = False
        """True if the last character was masked."""

    def __call__(self, redactor: Redactor, text: str) -> str:
        """Return the next piece, masked."""
        begin = len(self._context)
        whole = self._context + text
        runs = [(max(start, begin), end) for start, end in redactor.runs(whole) if end > begin]
        out = masked(whole, runs)[begin:]
        if self._ends_masked and runs and runs[0][0] == begin:
            # The previous piece already wrote the mark of this run.
            out = out.removeprefix(MARK)
        if text:
            self._ends_masked = bool(runs) and runs[-1][1] == len(whole)
            self._context = whole[-_CONTEXT:]
        return out


def masked(text: str, runs: Iterable[tuple[int, int]]) -> str:
    """Return a text with each run, sorted and disjoint, replaced by a mark."""
    out: list[str] = []
    at = 0
    for start, end in runs:
        out += text[at:start], MARK, _reset_codes(text[start:end])
        at = end
    out.append(text[at:])
    return "".join(out)


def _reset_codes(run: str) -> str:
    """Return codes that end terminal colours and links which a masked run may have started."""
    return ("\x1b[0m" if _COLOURS.search(run) else "") + ("\x1b]8;;\x1b\\" if _LINK in run else "")
