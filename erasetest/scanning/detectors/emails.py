"""E-mail addresses that may belong to a person."""

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
# Any two letters may be a country. Longer top-level names need a list, since `x@self.weight` is a
# matrix product.
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
    # Not in the public DNS, but used for internal addresses of people.
    "corp home intranet internal lan local"
)
_TOP_LEVEL = frozenset(_TOP_LEVEL_NAMES.split())
# Reserved by RFC 2606, and domains that documentation uses in the same way.
_EXAMPLE_TOPS = frozenset({"example", "invalid", "localhost", "test"})
_EXAMPLE_NAMES = (
    "example.com example.edu example.net example.org domain.com domain.tld mydomain.com "
    "yourcompany.com yourdomain.com foo.com bar.com foo.bar test.com"
)
_EXAMPLE_DOMAINS = frozenset(_EXAMPLE_NAMES.split())
# File suffixes that look like a country, and are far more frequent than addresses of it.
_FILE_SUFFIXES = frozenset({"gz", "js", "py", "ts", "xz", "7z"})
# The shared user of code hosts, and keywords: Kotlin has expressions such as `this@Outer.field`.
_NOT_PEOPLE = frozenset({"break", "continue", "git", "hg", "return", "super", "this"})
_USER_OF_URL = re.compile(r"://[^\s/?#\"'<>@]*$")
_USER_OF_COMMAND = re.compile(r"\b(?:rsync|scp|sftp|ssh)\s(?:[^|;&]*\s)?$")
_REMOTE_PATH = re.compile(r":[~\w.-]*/")
_ESCAPED = "abfnrtv"


def find(_document: Document, lines: Iterable[Line]) -> Iterator[Finding]:
    """Find well-formed addresses whose domain can exist, except those of remote logins."""
    for line in lines:
        for match in _ADDRESS.finditer(line.text):
            start = _without_escape(match)
            if start < match.end("local") and _is_address(match):
                yield Finding(line.start + start, line.start + match.end(), "email", "medium")


def _without_escape(match: re.Match[str]) -> int:
    # In the source text "…\njane@…", the n belongs to the escape sequence.
    start, line = match.start(), match.string
    return start + (line[max(0, start - 1) : start] == "\\" and line[start] in _ESCAPED)


def _is_address(match: re.Match[str]) -> bool:
    local, top = match["local"], match["top"].lower()
    if (
        local.endswith(".")
        or local.lower() in _NOT_PEOPLE
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
    # Limited, or a hostile line of many addresses would take quadratic time.
    before = match.string[max(0, match.start() - 200) : match.start()]
    return (
        _USER_OF_URL.search(before) is not None
        or _USER_OF_COMMAND.search(before) is not None
        or _REMOTE_PATH.match(match.string, match.end()) is not None
    )


def _is_path(match: re.Match[str]) -> bool:
    # `actions/checkout@v4.io` is a version of a package.
    return re.search(r"\w/$", match.string[: match.start()]) is not None


DETECTORS = (Detector(find, RequiredLiterals(words=frozenset({"@"}))),)
