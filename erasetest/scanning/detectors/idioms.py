"""Passwords in idioms that detect-secrets' keyword plugin does not know.

These are defaults of look-ups (`getenv("DB_PASSWORD", "…")`), setters and arguments
(`set_password("…")`), annotated names, macros, SQL, connection strings, XML, and names such as
`access_token`. If name and value are linked weakly (by a comma or a bracket), the value must also
look like a password.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from erasetest.samples.well_known import is_default
from erasetest.scanning.detectors import Detector
from erasetest.scanning.detectors.keywords import (
    REQUIRED,
    describes_secret,
    is_worth_scanning,
    kind_of,
)
from erasetest.scanning.document import Document, Finding, Line
from erasetest.scanning.gibberish import is_random
from erasetest.scanning.heuristics import allows_guesses, is_rejected
from erasetest.scanning.placeholders import is_placeholder
from erasetest.scanning.required_literals import RequiredLiterals

NAME = (
    r"(?i:(?:api|auth|service|account|db|database|priv|private|client|access|encryption|signing"
    r"|secret|session)[_-]?key|(?:db|database|key|user|root)[_-]?pass|password|passwd|passphrase|pwd"
    r"|secret|contrase[nñ]a|(?:access|auth|bearer|api|refresh|session|device)[_-]?token)"
)
_NAMES = re.compile(NAME)
_TYPE = r"[\w.\[\]|?<>]{1,30}"
# Between a name and a quoted value: an assignment is a strong link, anything else a weak one.
_STRONG = rf":\s{{0,3}}{_TYPE}\s?=|\s{_TYPE}\s?=|:?={{1,3}}|=>|:|\?\?|\|\||\bor\b"
_QUOTED = re.compile(
    rf"(?P<name>{NAME}[\w.\-]{{0,40}})[\"'`\])\\]{{0,2}}\s{{0,3}}"
    rf"(?:(?P<strong>{_STRONG})|(?P<weak>,\s{{0,3}}(?:default\s?=\s?)?|\(|\s(?!\s)))\s{{0,3}}"
    r"[@rbuf]?(?P<quote>\\?[\"'`])(?P<value>(?:(?!(?P=quote))[^\\]){4,100})(?P=quote)"
)
# Values without their own quotes: in connection strings, after SQL keywords, in XML.
_BARE = (
    re.compile(r"[;?&](?P<name>(?i:password|pwd))=(?P<value>[^;&\s\"'<>{}$%]{4,100})(?=[;&\s\"'])"),
    re.compile(
        r"\b(?:host|dbname|user)=.{0,80} (?P<name>(?i:password))="
        r"(?P<value>[^;&,\s\"'<>{}$%]{4,100})(?=[\s\"'])"
    ),
    re.compile(
        r"[\"'](?P<name>(?i:password|pwd))=(?P<value>[^;&\s\"'<>{}$%]{4,100})"
        r"(?=;\s?(?i:server|data source|user|database))"
    ),
    re.compile(r"(?i:identified by|\bpassword)\s{1,3}'(?P<name>)(?P<value>[^'\s]{4,100})'"),
    re.compile(rf"<(?P<name>[\w.:\-]{{0,40}}{NAME}\w{{0,20}})>(?P<value>[^<>\s{{}}$]{{4,100}})</"),
)
_URL_OR_HOST = re.compile(r"://|\A[\w\-]+(?:\.[\w\-]+)+(?::[0-9]+)?\Z")
_CONNECTION = re.compile(r"(?i:jdbc:|://|\bhost=|\bserver=|data source=|\bdbname=|database=)")
_REQUIRED = REQUIRED | RequiredLiterals(words=frozenset({"identified by"}))


def find(document: Document, lines: Iterable[Line]) -> Iterator[Finding]:
    """Find values of secret-sounding names, with the same kinds as `keywords`."""
    if not allows_guesses(document):
        return
    for line in lines:
        for match in _QUOTED.finditer(line.text) if is_worth_scanning(line.text, _NAMES) else ():
            if _is_secret(match) and (match["strong"] or _looks_like_password(match["value"])):
                yield _finding(line, match, kind_of(match, "value"))
        for pattern in _BARE:
            for match in pattern.finditer(line.text):
                if (
                    _is_secret(match)
                    and not _is_reference(match)
                    and (match["name"] or _looks_like_password(match["value"]))
                ):
                    yield _finding(line, match, _bare_kind(match))


def _finding(line: Line, match: re.Match[str], kind: str) -> Finding:
    start, end = match.span("value")
    return Finding(line.start + start, line.start + end, kind, "medium")


def _is_secret(match: re.Match[str]) -> bool:
    value = match["value"]
    return (
        not describes_secret(match["name"])
        and len(value.split()) == 1
        and not is_placeholder(value)
        and not is_default(value)
        and not is_rejected(value, match.string)
    )


def _looks_like_password(value: str) -> bool:
    """Return whether a value has letters and digits or symbols, and is not a URL, host or name."""
    return (
        len(value) >= 6
        and any(sign.isalpha() for sign in value)
        and any(sign.isdigit() or sign in "!#$%&*+=?@^~|" for sign in value)
        and _URL_OR_HOST.search(value) is None
        and (not value.isidentifier() or is_random(value))
    )


def _is_reference(match: re.Match[str]) -> bool:
    return match["value"][0] in "$%{<:?(" or match["value"].endswith(("(", ")"))


def _bare_kind(match: re.Match[str]) -> str:
    if match["name"] == "" or _CONNECTION.search(match.string):
        return "database-password"
    return kind_of(match, "value")


DETECTORS = (Detector(find, _REQUIRED),)
