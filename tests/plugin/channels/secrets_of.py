"""The secrets of the channel matrix: one of each kind for each channel, so that a find names both.

Nothing here is taken from `erasetest`: this is read by the tests that leak, by those that look for
leaks, and must not share a fault with what masks them.
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
"""Four pieces of random letters and digits, five characters each, joined in these ways."""


def secret(channel: str, kind: str) -> str:
    """The secret of this kind that this channel alone shows."""
    draw = random.Random(f"{channel} {kind}")
    letters = string.ascii_letters + string.digits
    text = KINDS[kind].format(*("".join(draw.choices(letters, k=5)) for _ in range(4)))
    # Long enough to be wrapped.
    return " ".join([text, *text.split(" ")] * 4) if kind == "words" else text


def secrets(channel: str) -> list[str]:
    """The secrets of a channel."""
    return [secret(channel, kind) for kind in KINDS]
