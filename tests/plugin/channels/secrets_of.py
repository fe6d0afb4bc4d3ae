"""The secrets of the channel matrix: one per kind and channel, so that a match identifies both.

This imports nothing from `erasetest`: the tests that leak and those that search for leaks use it,
and it must not share a defect with the masking.
"""

from __future__ import annotations

import random
import string

KINDS = {
    "plain": "{}{}{}{}",
    "quotes": "{}'{}\"{}'{}",
    "backslashes": "{}\\{}\\n{}\\{}",
    "lines": "{}\n{}\n{}\n{}",
    "controls": "{}\t{}\x1b{}\x07{}",
    "percent": "{}%{}%s{}%20{}",
    "xml": "{}<{}>&{}&amp;{}",
    "letters": "{}é{}→{}漢{}",
    "words": "{} {} {} {}",
}
"""Formats of a secret: each placeholder is five random letters and digits."""


def secret(channel: str, kind: str) -> str:
    """Return the secret of a kind that only this channel shows."""
    draw = random.Random(f"{channel} {kind}")
    letters = string.ascii_letters + string.digits
    text = KINDS[kind].format(*("".join(draw.choices(letters, k=5)) for _ in range(4)))
    # Long enough to be wrapped.
    return " ".join([text, *text.split(" ")] * 4) if kind == "words" else text


def secrets(channel: str) -> list[str]:
    """Return the secrets of a channel."""
    return [secret(channel, kind) for kind in KINDS]
