"""Find the secrets in the output and the files of a run.

Independent of `erasetest.samples.redactor`: that encodes secrets and searches for the encodings;
this decodes the output and searches for the secrets.
"""

from __future__ import annotations

import base64
import html
import re
import urllib.parse
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

WINDOW = 8
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b"}
_ANSI = re.compile(r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-9;]*[A-Za-z]")
_ESCAPED = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|(.))", re.DOTALL)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}){12,}")
_WRAPPED = re.compile(r"['\"]?\s*│?\s*\n(?:E )?[\s>│]*(?:[-+?] )?\s*b?['\"]?")


def leaks(data: bytes, secrets: Iterable[str]) -> set[str]:
    """Return the secrets of which eight consecutive characters occur in data, in any encoding."""
    owners = {text[i : i + WINDOW]: text for text in secrets for i in range(len(text) - 7)}
    owners |= {window[::-1]: text for window, text in owners.items()}
    heads = np.unique(np.concatenate([_four_grams(window)[:1] for window in owners]))
    return {
        owners[text[i : i + WINDOW]]
        for text in set(_readings(data))
        for i in _positions(text, heads)
        if text[i : i + WINDOW] in owners
    }


def _positions(text: str, heads: npt.NDArray[np.uint64]) -> list[int]:
    """Return the positions of the first halves of windows."""
    fours = _four_grams(text)
    at = np.searchsorted(heads, fours)
    found: list[int] = np.flatnonzero(heads.take(at, mode="clip") == fours).tolist()
    return found


def _four_grams(text: str) -> npt.NDArray[np.uint64]:
    """Return each four consecutive characters as one integer."""
    points = np.frombuffer(text.encode("utf-32-le", "replace"), dtype=np.uint32) & 0xFFFF
    wide = points.astype(np.uint64)
    pairs = wide[:-1] << 16 | wide[1:]
    return pairs[:-2] << 32 | pairs[2:]


def _readings(data: bytes) -> Iterator[str]:
    raw = data.decode("utf-8", "replace")
    yield raw
    yield raw.replace("\0", "")
    plain = _ANSI.sub("", raw).replace("\0", "")
    yield plain
    yield _WRAPPED.sub("", plain)
    yield html.unescape(html.unescape(plain))
    yield urllib.parse.unquote(plain)
    yield plain.encode("latin-1", "replace").decode("utf-8", "replace")
    once = _unescaped(plain)
    for text in (once, _unescaped(html.unescape(once)), _unescaped(_unescaped(once))):
        yield text
        yield _ANSI.sub("", text).replace("\0", "")
        yield text.replace("\0", "").encode("latin-1", "replace").decode("utf-8", "replace")
    for run in _BASE64.findall(plain):
        yield from _from_base64(run.rstrip("="))
    for run in _HEX.findall(plain):
        yield bytes.fromhex(run).decode("utf-8", "replace")


def _unescaped(text: str) -> str:
    """Undo one level of the escapes of repr and JSON."""

    def character(match: re.Match[str]) -> str:
        byte, point, letter = match.groups()
        if byte or point:
            return chr(int(byte or point, 16))
        return _ESCAPES.get(letter, letter)

    return _ESCAPED.sub(character, text)


def _from_base64(run: str) -> Iterator[str]:
    # The run may start with letters that are not part of the encoding.
    for start in range(4):
        whole = run[start : start + (len(run) - start) // 4 * 4]
        yield base64.b64decode(whole.replace("-", "+").replace("_", "/")).decode("utf-8", "replace")
