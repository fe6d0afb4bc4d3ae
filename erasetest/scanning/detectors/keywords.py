"""Passwords by the name that they are assigned to: detect-secrets' Secret Keyword plugin.

Its patterns for the file's language apply to every match in a line, not only to the first. Its
heuristic for indirect references (the line assigns the result of a call) applies only to values
without quotes, since `connect(password="…")` is a call too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from erasetest.scanning.detect_secrets_parts import (
    DENYLIST_REGEX,
    QUOTES_REQUIRED_DENYLIST_REGEX_TO_GROUP,
    REGEX_BY_FILETYPE,
    FileType,
    determine_file_type,
    heuristic,
)
from erasetest.scanning.detectors import Detector
from erasetest.scanning.document import Document, Finding, Line
from erasetest.scanning.heuristics import allows_guesses, is_rejected, with_quotes
from erasetest.scanning.placeholders import is_placeholder
from erasetest.scanning.required_literals import RequiredLiterals

# Every pattern of the plugin contains this alternation of words.
_KEYWORD = re.compile(DENYLIST_REGEX, re.IGNORECASE)
# Each name that the patterns of this module and `idioms` match contains one of these words. A few
# short words are found faster than all names, but `key` or `pass` alone occur in too many lines.
REQUIRED = RequiredLiterals(
    words=frozenset(
        {
            *("_key", "-key", *(f"{letter}key" for letter in "beghinstv")),
            *("_pass", "-pass", "passp", "passw", *(f"{letter}pass" for letter in "berty")),
            *("contrase", "pwd", "secret", "token"),
        }
    )
)
# The patterns take cubic time on a run of word characters that contains many of these words; a run
# of this length is not a name.
_LONG_RUN = re.compile(r"\w{300,}")
_DATABASES = ("database", "db", "maria", "mongo", "mssql", "mysql", "pg", "postgres", "sqlserver")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_NAME_END = re.compile(r"[\w.\-]*\Z")
# The value of `secretName` or `password_hint` is not a secret.
_DESCRIPTION = re.compile(
    r"(?:backend|field|file|format|hasher|header|hint|id|label|length|message|name|path|pattern|policy"
    r"|prompt|provider|ref|reference|regexp?|test|title|type|uri|url)s?\W*\Z",
    re.IGNORECASE,
)
_MIN_SENTENCE_WORDS = 3
"""Minimum number of words of a value that is a sentence, not a password."""

_MAX_NAMES = 100
"""Maximum number of secret-sounding names in a line that is searched; the patterns take quadratic
time in it."""


def find(document: Document, lines: Iterable[Line]) -> Iterator[Finding]:
    """Find values of secret-sounding names; `database-password` if the name mentions a database."""
    if not allows_guesses(document):
        return
    file_type = determine_file_type(document.path)
    patterns = REGEX_BY_FILETYPE.get(file_type, QUOTES_REQUIRED_DENYLIST_REGEX_TO_GROUP)
    for line in lines:
        if not is_worth_scanning(line.text):
            continue
        quoted = with_quotes(document, line)
        text = _LONG_RUN.sub(_without_keywords, quoted.text)
        for pattern, group in patterns.items():
            for match in pattern.finditer(text):
                if _is_secret(match, group, file_type):
                    yield quoted.finding(match.span(group), kind_of(match, group), "medium")


def is_worth_scanning(line: str, names: re.Pattern[str] = _KEYWORD) -> bool:
    """Return whether a line contains a secret-sounding name, and at most `_MAX_NAMES` of them."""
    return 0 < sum(1 for _ in islice(names.finditer(line), _MAX_NAMES + 1)) <= _MAX_NAMES


def _without_keywords(run: re.Match[str]) -> str:
    return "-" * len(run.group()) if _KEYWORD.search(run.group()) else run.group()


def _is_secret(match: re.Match[str], group: int, file_type: FileType) -> bool:
    value, line = match.group(group), match.string
    quoted = line[match.start(group) - 1] in "\"'`"
    if not quoted and (file_type is FileType.GO or heuristic.is_indirect_reference(line)):
        return False
    return (
        not describes_secret(line[match.start() : match.start(group)])
        and len(value.split()) < _MIN_SENTENCE_WORDS
        and not is_placeholder(value)
        and not is_rejected(value, line)
    )


def describes_secret(name: str) -> bool:
    """Return whether a name denotes something about a secret, such as its file or its length."""
    return _DESCRIPTION.search(name) is not None


def kind_of(match: re.Match[str], group: int | str) -> str:
    """Return the kind of a value from the names in and before the match."""
    start, end = match.span(group)
    before = _NAME_END.search(match.string, 0, match.start())
    names = (
        before.group() if before else "",
        match.string[match.start() : start],
        match.string[end : match.end()],
    )
    words = (word.lower() for name in names for word in _WORD.findall(name))
    return "database-password" if any(map(_is_database, words)) else "password"


def _is_database(word: str) -> bool:
    return word.startswith(_DATABASES)


DETECTORS = (Detector(find, REQUIRED),)
