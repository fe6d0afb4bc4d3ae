"""Passwords in URLs: the `secret` of `scheme://user:secret@host`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from erasetest.scanning.detectors import Detector
from erasetest.scanning.document import Document, Finding, Line
from erasetest.scanning.placeholders import is_default, is_placeholder
from erasetest.scanning.required_literals import required_literals_of

# detect-secrets' pattern, but for a user, which Redis and others have none of.
_SIGN = r"[^:/?#\[\]@!$&'()*+,;=\s]"
_PASSWORD = re.compile(rf"://(?P<user>{_SIGN}*):(?P<password>{_SIGN}+)@")


def find(_document: Document, lines: Iterable[Line]) -> Iterator[Finding]:
    """The password alone; the user and the host are the code around it."""
    for line in lines:
        for match in _PASSWORD.finditer(line.text):
            user, password = match["user"], match["password"]
            if password != user and not is_default(password) and not is_placeholder(password):
                start, end = match.span("password")
                yield Finding(line.start + start, line.start + end, "basic-auth", "medium")


DETECTORS = (Detector(find, required_literals_of([_PASSWORD])),)
