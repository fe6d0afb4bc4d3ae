"""Texts that stand where a secret would stand and are none."""

from __future__ import annotations

import re

from erasetest.redact import SHORTEST
from erasetest.scan.detect_secrets_parts import heuristic

_WORDS = (
    "changeit changeme default demo dummy example false foobar none null optional redacted "
    "required sample string test testing todo true undefined unset unused value"
)
# Letters alone around a word for secrets: the name of a field, setting or environment variable.
_SHORT = "(?:api|key|pass|pwd)s?"
_NAME = re.compile(
    r"[a-z_.\- ]*"
    rf"(?:passwd|password|secret|token|(?<![a-z]){_SHORT}|{_SHORT}(?![a-z]))"
    r"[a-z_.\- ]*",
    re.IGNORECASE,
)
_LEFT_OUT = re.compile(r"\.\.\.|…|x{4}|X{4}|\*\*\*")
_WORD_SET = frozenset(_WORDS.split())
_FEWEST_CHARACTERS = 7


def is_placeholder(value: str) -> bool:
    """Whether a password is none: a template, a name for one, a filler, or too short to tell.

    Passwords such as `mysecret` are lost to this on purpose: any CLM guesses them, so that they say
    nothing about what it remembers.
    """
    return (
        len(value) < SHORTEST
        or len(set(value)) == 1
        or _LEFT_OUT.search(value) is not None
        or value.lower().strip("<>[]{}()._- ") in _WORD_SET
        or _NAME.fullmatch(value) is not None
        or heuristic.is_templated_secret(value)
        or heuristic.is_prefixed_with_dollar_sign(value)
        or heuristic.is_not_alphanumeric_string(value)
        or heuristic.is_sequential_string(value)
    )


def is_filler(token: str) -> bool:
    """Whether a token of a known format is an example: `AKIA…EXAMPLE`, `ghp_xxxx…`."""
    return "EXAMPLE" in token.upper() or len(set(token)) < _FEWEST_CHARACTERS
