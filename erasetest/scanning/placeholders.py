"""Texts that stand where a secret would stand and are none."""

from __future__ import annotations

import re

from erasetest.samples.redactor import MIN_LENGTH
from erasetest.scanning.detect_secrets_parts import heuristic
from erasetest.scanning.gibberish import is_random

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
_LEFT_OUT = re.compile(
    r"\.\.\.|…|x{4}|example|\*\*\*|\AENC\[|%[sdr]|%\(\w+\)|\{\w*\}"
    r"|(?:replace|change)[-_ ]?(?:me|this|it)",
    re.IGNORECASE,
)
# Where a secret is kept, instead of the secret: a place in a store, a file, a class, a pattern.
_REFERENCE = re.compile(
    r"(?:op|vault|ssm|secret|file|gcpsm|awssm|env|ref)s?:.*|a?arn:aws[\w\-]*:.*|projects/.*"
    r"|(?:[a-z][a-z_\-]*[/.]){2,}[a-zA-Z_\-]+|[\w.\-]+\.(?:pub|pem|key|crt|txt|json|ya?ml)"
    r"|[A-Z]:\\.*|.*\[[A-Za-z0-9]-[A-Za-z0-9].*\].*|\[[\w ]+\]|_blank"
)
# A path, or a few words with dashes, which is what secrets are called and not what they are.
_PATH = re.compile(r"(?:~|\.{1,2})?/[\w./\-]+|[a-z]{2,}(?:[-_][a-z]{2,}){1,2}(?:[-_]v?[0-9])?")
_REPEATED = re.compile(r"(.)\1{7}")
# What many programs come with.
_DEFAULTS = frozenset(
    [
        "admin",
        "guest",
        "letmein",
        "mysql",
        "pass",
        "passw0rd",
        "postgres",
        "postgresql",
        "qwerty",
        "rabbitmq",
        "redis",
        "root",
        "secret123",
        "test123",
        "user",
        "username",
        "welcome",
    ]
)
_WORD_SET = frozenset(_WORDS.split())
_FEWEST_CHARACTERS = 7


def is_placeholder(value: str) -> bool:
    """Whether a password is none: a template, a name for one, a filler, or too short to tell.

    Passwords such as `mysecret` are lost to this on purpose: any CLM guesses them, so that they say
    nothing about what it remembers.
    """
    return (
        len(value) < MIN_LENGTH
        or len(set(value)) == 1
        or _LEFT_OUT.search(value) is not None
        or value.lower().strip("<>[]{}()._- ") in _WORD_SET
        or _NAME.fullmatch(value) is not None
        or _REFERENCE.fullmatch(value) is not None
        or (_PATH.fullmatch(value) is not None and not is_random(value))
        or heuristic.is_templated_secret(value)
        or heuristic.is_prefixed_with_dollar_sign(value)
        or heuristic.is_not_alphanumeric_string(value)
        or heuristic.is_sequential_string(value)
    )


def is_filler(token: str) -> bool:
    """Whether a token of a known format is an example: `AKIA…EXAMPLE`, `ghp_xxxx…`."""
    return (
        "EXAMPLE" in token.upper()
        or len(set(token)) < _FEWEST_CHARACTERS
        or _REPEATED.search(token) is not None
    )


def is_default(password: str) -> bool:
    """Whether a password is one that many programs come with, which says nothing of a CLM."""
    return password.lower() in _DEFAULTS
