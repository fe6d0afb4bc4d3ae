"""JSON Web Tokens, signature included."""

from __future__ import annotations

import re
from collections.abc import Iterator

from erasetest.scan.detect_secrets_parts import JwtTokenDetector
from erasetest.scan.document import Document, Finding

# detect-secrets' own pattern ends before the signature, which is the part that gives access.
_JWT = re.compile(r"(eyJ[\w-]++=*+\.[\w-]++=*+)(?:\.[\w-]*=*)?", re.ASCII)


def find(document: Document) -> Iterator[Finding]:
    """Tokens whose header and payload are JSON, as detect-secrets checks it."""
    for line in document.lines:
        if "eyJ" not in line.text:
            continue
        for match in _JWT.finditer(line.text):
            if JwtTokenDetector.is_formally_valid(match.group(1)):
                yield Finding(line.start + match.start(), line.start + match.end(), "jwt")
