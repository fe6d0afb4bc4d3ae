"""Quoted strings that look random: detect-secrets' two entropy plugins with their limits.

Randomness is the weakest evidence, and most random-looking strings in code are not secrets.
Therefore detect-secrets' heuristics apply, and two more rules: a string after a word for digests or
commits is one of these, and a base 64 string made of words is a path or a name (`gibberish`;
detect-secrets' filter for this needs a package and a model that it does not install).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from erasetest.scanning.detect_secrets_parts import (
    Base64HighEntropyString,
    HexHighEntropyString,
    HighEntropyStringsPlugin,
)
from erasetest.scanning.detectors import Detector
from erasetest.scanning.document import Document, Finding, Line
from erasetest.scanning.gibberish import is_random
from erasetest.scanning.heuristics import allows_guesses, is_rejected, with_quotes
from erasetest.scanning.placeholders import is_filler
from erasetest.scanning.required_literals import RequiredLiterals

BASE64_CHARACTER = r"[A-Za-z0-9+/\\\-_=]"
"""A character of either base 64 alphabet, or a backslash, which detect-secrets' pattern allows."""

# Shorter hex strings are colours and small numbers; shorter base 64 strings cannot exceed the
# plugin's limit of 4.5 bits.
_QUOTED = re.compile(rf"(\\?[\"'])(?:([0-9A-Fa-f]{{16,}})|({BASE64_CHARACTER}{{23,}}))\1")
_HEX, _BASE64 = HexHighEntropyString(), Base64HighEntropyString()
_DIGEST = re.compile(
    r"sha-?\d|md5|crc\d|checksum|digest|integrity|fingerprint|commit|revision|(?<![a-z])(?:rev|etag"
    r"|hash|hashed|hashes|sha)(?![a-z])|(?-i:[a-z](?:Hash|Sha|Etag|Rev)(?![a-z]))",
    re.IGNORECASE,
)
_OWN_DIGEST = re.compile(r"sha(?:1|256|384|512)-|md5-")
_DIGIT = re.compile(r"[0-9]")


def find(document: Document, lines: Iterable[Line]) -> Iterator[Finding]:
    """Find random-looking strings.

    No string is of both kinds, since hex digits cannot exceed the limit for base 64.
    """
    if not allows_guesses(document):
        return
    for line in lines:
        quoted = with_quotes(document, line)
        for match in _QUOTED.finditer(quoted.text):
            kind, plugin = (
                ("high-entropy-hex", _HEX) if match[2] else ("high-entropy-base64", _BASE64)
            )
            if _is_secret(match, plugin):
                span = match.span(2) if match[2] else match.span(3)
                yield quoted.finding(span, kind, "low")


def _is_secret(match: re.Match[str], plugin: HighEntropyStringsPlugin) -> bool:
    value, line = match[2] or match[3], match.string
    return (
        "\\" not in value
        and not is_filler(value)
        and not _OWN_DIGEST.match(value)
        # A word can consist of hex digits, but then it has no decimal digit.
        and (_DIGIT.search(value) is not None if match[2] else is_random(value))
        and not _DIGEST.search(line, 0, match.start())
        and plugin.calculate_shannon_entropy(value) > plugin.entropy_limit
        and not is_rejected(value, line)
    )


DETECTORS = (
    Detector(
        find,
        RequiredLiterals(
            shapes=frozenset({rf"[\"'](?:[0-9A-Fa-f]{{16,}}\\?|{BASE64_CHARACTER}{{23,}})[\"']"})
        ),
        required_in_settings=RequiredLiterals(shapes=frozenset({rf"{BASE64_CHARACTER}{{16}}"})),
    ),
)
