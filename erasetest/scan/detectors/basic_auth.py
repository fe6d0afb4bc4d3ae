"""Passwords in URLs: the `secret` of `scheme://user:secret@host`."""

from __future__ import annotations

from collections.abc import Iterator

from erasetest.scan.detect_secrets_parts import BasicAuthDetector
from erasetest.scan.document import Document, Finding
from erasetest.scan.placeholders import is_placeholder


def find(document: Document) -> Iterator[Finding]:
    """The password alone; the user and the host are the code around it."""
    for line in document.lines:
        if "://" not in line.text:
            continue
        for pattern in BasicAuthDetector.denylist:
            for match in pattern.finditer(line.text):
                if not is_placeholder(match.group(1)):
                    start, end = match.span(1)
                    yield Finding(line.start + start, line.start + end, "basic-auth")
