"""JSON Web Tokens, signature included."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from erasetest.scanning.detect_secrets_parts import JwtTokenDetector
from erasetest.scanning.detectors import Detector
from erasetest.scanning.document import Document, Finding, Line
from erasetest.scanning.required_literals import required_literals_of

# detect-secrets' pattern ends before the signature, which is the part that grants access.
_JWT = re.compile(r"(eyJ[\w-]++=*+\.[\w-]++=*+)(?:\.[\w-]*=*)?", re.ASCII)


def find(_document: Document, lines: Iterable[Line]) -> Iterator[Finding]:
    """Find tokens whose header and payload are JSON, by detect-secrets' check."""
    for line in lines:
        for match in _JWT.finditer(line.text):
            if JwtTokenDetector.is_formally_valid(match.group(1)):
                yield Finding(line.start + match.start(), line.start + match.end(), "jwt")


DETECTORS = (Detector(find, required_literals_of([_JWT])),)
