"""Quoted strings that look random: detect-secrets' two entropy plugins with their own limits.

This is the weakest evidence of all, and most random-looking strings in code are no secrets. So
detect-secrets' heuristics apply, and two rules more: a hex string after a word for digests or
commits is one of these, and a base 64 string that is made of words is a path or a name
(`gibberish`; detect-secrets' own filter needs a package and a model that it does not install).
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
from erasetest.scanning.heuristics import is_guessed_in, is_ruled_out, with_quotes
from erasetest.scanning.placeholders import is_filler
from erasetest.scanning.required_literals import RequiredLiterals

SIGNS = r"[A-Za-z0-9+/\\\-_=]"
"""What base 64 is made of, in both alphabets, and as detect-secrets has it the backslash too."""

# Shorter hex strings are colours and small numbers, and shorter base 64 strings cannot reach the
# plugin's limit of 4.5 bits.
_QUOTED = re.compile(rf"(\\?[\"'])(?:([0-9A-Fa-f]{{16,}})|({SIGNS}{{23,}}))\1")
_HEX, _BASE64 = HexHighEntropyString(), Base64HighEntropyString()
_DIGEST = re.compile(
    r"sha-?\d|md5|crc\d|checksum|digest|integrity|fingerprint|commit|revision|(?<![a-z])(?:rev|etag"
    r"|hash|hashed|hashes|sha)(?![a-z])|(?-i:[a-z](?:Hash|Sha|Etag|Rev)(?![a-z]))",
    re.IGNORECASE,
)
_OWN_DIGEST = re.compile(r"sha(?:1|256|384|512)-|md5-")
_DIGIT = re.compile(r"[0-9]")


def find(document: Document, lines: Iterable[Line]) -> Iterator[Finding]:
    """Random-looking strings. None is of both kinds: hex digits cannot reach base 64's limit."""
    if not is_guessed_in(document):
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
        # Few hex digits are letters: a word of these alone has no digit.
        and (_DIGIT.search(value) is not None if match[2] else is_random(value))
        and not _DIGEST.search(line, 0, match.start())
        and plugin.calculate_shannon_entropy(value) > plugin.entropy_limit
        and not is_ruled_out(value, line)
    )


DETECTORS = (
    Detector(
        find,
        RequiredLiterals(
            shapes=frozenset({rf"[\"'](?:[0-9A-Fa-f]{{16,}}\\?|{SIGNS}{{23,}})[\"']"})
        ),
        clue_in_settings=RequiredLiterals(shapes=frozenset({rf"{SIGNS}{{16}}"})),
    ),
)
