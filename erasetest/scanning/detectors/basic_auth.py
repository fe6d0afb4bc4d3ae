"""Passwords in URLs: the `secret` of `scheme://user:secret@host`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from erasetest.samples.well_known import is_default
from erasetest.scanning.detectors import Detector
from erasetest.scanning.document import Document, Finding, Line
from erasetest.scanning.placeholders import is_placeholder
from erasetest.scanning.required_literals import required_literals_of

# detect-secrets' pattern, but with an optional user: Redis and others have none.
_CHARACTER = r"[^:/?#\[\]@!$&'()*+,;=\s]"
_PASSWORD = re.compile(rf"://(?P<user>{_CHARACTER}*):(?P<password>{_CHARACTER}+)@")


def find(_document: Document, lines: Iterable[Line]) -> Iterator[Finding]:
    """Find passwords; the user and the host are context."""
    for line in lines:
        for match in _PASSWORD.finditer(line.text):
            user, password = match["user"], match["password"]
            if password != user and not is_default(password) and not is_placeholder(password):
                start, end = match.span("password")
                yield Finding(line.start + start, line.start + end, "basic-auth", "medium")


DETECTORS = (Detector(find, required_literals_of([_PASSWORD])),)
