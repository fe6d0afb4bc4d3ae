"""Passwords in URLs: the `secret` of `scheme://user:secret@host`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from erasetest.scan.clues import clue_of
from erasetest.scan.detect_secrets_parts import BasicAuthDetector
from erasetest.scan.detectors import Detector
from erasetest.scan.document import Document, Finding, Line
from erasetest.scan.placeholders import is_placeholder


def find(_document: Document, lines: Iterable[Line]) -> Iterator[Finding]:
    """The password alone; the user and the host are the code around it."""
    for line in lines:
        for pattern in BasicAuthDetector.denylist:
            for match in pattern.finditer(line.text):
                if not is_placeholder(match.group(1)):
                    start, end = match.span(1)
                    yield Finding(line.start + start, line.start + end, "basic-auth", "medium")


DETECTORS = (Detector(find, clue_of(BasicAuthDetector.denylist)),)
