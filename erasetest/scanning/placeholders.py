"""Recognizes placeholders: values in the place of a secret that are not one."""

from __future__ import annotations

import re

from erasetest.samples.redactor import MIN_LENGTH
from erasetest.scanning.detect_secrets_parts import heuristic
from erasetest.scanning.gibberish import is_random

_WORDS = (
    "changeit changeme default demo dummy example false foobar none null optional redacted "
    "required sample string test testing todo true undefined unset unused value"
)
# Only letters around a word for secrets: the name of a field, setting or environment variable.
_SHORT = "(?:api|key|pass|pwd)s?"
_NAME = re.compile(
    r"[a-z_.\- ]*"
    rf"(?:passwd|password|secret|token|(?<![a-z]){_SHORT}|{_SHORT}(?![a-z]))"
    r"[a-z_.\- ]*",
    re.IGNORECASE,
)
_TEMPLATE = re.compile(
    r"\.\.\.|…|x{4}|example|\*\*\*|\AENC\[|%[sdr]|%\(\w+\)|\{\w*\}"
    r"|(?:replace|change)[-_ ]?(?:me|this|it)",
    re.IGNORECASE,
)
# A reference to a secret: an entry of a secret store, a file, a class, a pattern.
_REFERENCE = re.compile(
    r"(?:op|vault|ssm|secret|file|gcpsm|awssm|env|ref)s?:.*|a?arn:aws[\w\-]*:.*|projects/.*"
    r"|(?:[a-z][a-z_\-]*[/.]){2,}[a-zA-Z_\-]+|[\w.\-]+\.(?:pub|pem|key|crt|txt|json|ya?ml)"
    r"|[A-Z]:\\.*|.*\[[A-Za-z0-9]-[A-Za-z0-9].*\].*|\[[\w ]+\]|_blank"
)
# A path, or a few words joined by dashes: the name of a secret rather than its value.
_PATH = re.compile(r"(?:~|\.{1,2})?/[\w./\-]+|[a-z]{2,}(?:[-_][a-z]{2,}){1,2}(?:[-_]v?[0-9])?")
_REPEATED = re.compile(r"(.)\1{7}")
_WORD_SET = frozenset(_WORDS.split())
_MIN_DISTINCT_CHARACTERS = 7
"""Minimum number of distinct characters of a real token."""


def is_placeholder(value: str) -> bool:
    """Return whether a password is a placeholder: a template, a name, a filler, or too short.

    This rejects weak passwords such as `mysecret` on purpose: any CLM guesses them, so they are no
    evidence of memorization.
    """
    return (
        len(value) < MIN_LENGTH
        or len(set(value)) == 1
        or _TEMPLATE.search(value) is not None
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
    """Return whether a token of a known format is an example: `AKIA…EXAMPLE`, `ghp_xxxx…`."""
    return (
        "EXAMPLE" in token.upper()
        or len(set(token)) < _MIN_DISTINCT_CHARACTERS
        or _REPEATED.search(token) is not None
    )
