"""E-mail addresses that could be somebody's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from erasetest.scanning.detectors import Detector
from erasetest.scanning.document import Document, Finding, Line
from erasetest.scanning.required_literals import RequiredLiterals

_ADDRESS = re.compile(
    r"(?<![A-Za-z0-9._+%$}\-])"
    r"(?P<local>[A-Za-z0-9_](?:[A-Za-z0-9_+-]|\.(?!\.)){0,63})"
    r"@(?P<domain>(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}(?P<top>[A-Za-z]{2,24}))"
    r"(?![A-Za-z0-9_(\[-])(?!\.[A-Za-z0-9])"
)
# Two letters are a country's. Of the rest a list is kept: `x@self.weight` multiplies matrices.
_TOP_LEVEL_NAMES = (
    "academy aero africa agency ai amsterdam app arpa art asia audio bank berlin best bike bio biz "
    "blog brussels build business cab cafe capital careers cat center chat church city cloud club "
    "codes coffee com community company computer consulting cool coop design dev digital direct "
    "earth edu education email energy engineer engineering events expert express family farm "
    "finance fit foundation fun fund global gov graphics green guide guru hamburg health help "
    "holdings host house inc industries info ink institute int international investments jobs "
    "kitchen koeln land law legal life link live llc london ltd management market marketing media "
    "mil mobi museum net network news ninja nrw nyc one online ong org page paris partners party "
    "photo photography photos pics place plus press pro productions properties pub quebec rocks "
    "ruhr sale saarland school science scot security services shop show site skin social software "
    "solar solutions space store studio style support swiss systems team tech technology tel tips "
    "today tokyo tools top tours town toys training travel university vet vip vision wales watch "
    "website wien wiki win wine work works world wtf xyz yoga zone "
    # Not in the public name system, but where people's work addresses are.
    "corp home intranet internal lan local"
)
_TOP_LEVEL = frozenset(_TOP_LEVEL_NAMES.split())
# RFC 2606, and domains that documentation writes as if they were reserved too.
_EXAMPLE_TOPS = frozenset({"example", "invalid", "localhost", "test"})
_EXAMPLE_NAMES = (
    "example.com example.edu example.net example.org domain.com domain.tld mydomain.com "
    "yourcompany.com yourdomain.com foo.com bar.com foo.bar test.com"
)
_EXAMPLE_DOMAINS = frozenset(_EXAMPLE_NAMES.split())
# Two letters that end the names of files far more often than they name a country (or never do).
_FILE_SUFFIXES = frozenset({"gz", "js", "py", "ts", "xz", "7z"})
# The user of every forge, and words of languages in which `this@Outer.field` is an expression.
_NO_PEOPLE = frozenset({"break", "continue", "git", "hg", "return", "super", "this"})
_USER_OF_URL = re.compile(r"://[^\s/?#\"'<>@]*$")
_USER_OF_COMMAND = re.compile(r"\b(?:rsync|scp|sftp|ssh)\s(?:[^|;&]*\s)?$")
_REMOTE_PATH = re.compile(r":[~\w.-]*/")
_ESCAPED = "abfnrtv"


def find(_document: Document, lines: Iterable[Line]) -> Iterator[Finding]:
    """Addresses in valid form, of a domain that can be real and not of a remote login."""
    for line in lines:
        for match in _ADDRESS.finditer(line.text):
            start = _without_escape(match)
            if start < match.end("local") and _is_address(match):
                yield Finding(line.start + start, line.start + match.end(), "email", "medium")


def _without_escape(match: re.Match[str]) -> int:
    # In the source text "…\njane@…" the n belongs to the line break.
    start, line = match.start(), match.string
    return start + (line[max(0, start - 1) : start] == "\\" and line[start] in _ESCAPED)


def _is_address(match: re.Match[str]) -> bool:
    local, top = match["local"], match["top"].lower()
    if (
        local.endswith(".")
        or local.lower() in _NO_PEOPLE
        or "xxxx" in local.lower()
        or top in _FILE_SUFFIXES
    ):
        return False
    if len(top) > 2 and top not in _TOP_LEVEL:
        return False
    return not (_is_example(match["domain"].lower()) or _is_login(match) or _is_path(match))


def _is_example(domain: str) -> bool:
    labels = domain.split(".")
    return labels[-1] in _EXAMPLE_TOPS or ".".join(labels[-2:]) in _EXAMPLE_DOMAINS


def _is_login(match: re.Match[str]) -> bool:
    # No further back: a hostile line would be searched once for each of its addresses.
    before = match.string[max(0, match.start() - 200) : match.start()]
    return (
        _USER_OF_URL.search(before) is not None
        or _USER_OF_COMMAND.search(before) is not None
        or _REMOTE_PATH.match(match.string, match.end()) is not None
    )


def _is_path(match: re.Match[str]) -> bool:
    # `actions/checkout@v4.io`: a version of a package, named by its path.
    return re.search(r"\w/$", match.string[: match.start()]) is not None


DETECTORS = (Detector(find, RequiredLiterals(words=frozenset({"@"}))),)
