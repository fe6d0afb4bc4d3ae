"""Passwords by the name of what they are assigned to: detect-secrets' Secret Keyword.

Its patterns for the file's language are used, on every match of a line and not the first alone. Of
its heuristics the one on calls ("the line assigns what a function returns") is used for values
without quotes alone: `connect(password="…")` is a call as well.
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
from erasetest.scanning.heuristics import is_guessed_in, is_ruled_out, with_quotes
from erasetest.scanning.placeholders import is_placeholder
from erasetest.scanning.required_literals import RequiredLiterals

# Every one of the patterns holds one of these words.
_KEYWORD = re.compile(DENYLIST_REGEX, re.IGNORECASE)
# What each of these names holds, and those of `idioms`: a few short words are found sooner than all
# of them, and `key` or `pass` alone stand in too many lines.
CLUE = RequiredLiterals(
    words=frozenset(
        {
            *("_key", "-key", *(f"{letter}key" for letter in "beghinstv")),
            *("_pass", "-pass", "passp", "passw", *(f"{letter}pass" for letter in "berty")),
            *("contrase", "pwd", "secret", "token"),
        }
    )
)
# They take cubic time on many of these words in one run of letters, which is no name then.
_LONG_RUN = re.compile(r"\w{300,}")
_DATABASES = ("database", "db", "maria", "mongo", "mssql", "mysql", "pg", "postgres", "sqlserver")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_NAME_END = re.compile(r"[\w.\-]*\Z")
# `secretName` names a secret, `password_hint` is about one.
_ABOUT = re.compile(
    r"(?:backend|field|file|format|hasher|header|hint|id|label|length|message|name|path|pattern|policy"
    r"|prompt|provider|ref|reference|regexp?|test|title|type|uri|url)s?\W*\Z",
    re.IGNORECASE,
)
_SENTENCE = 3
_MOST_NAMES = 100


def find(document: Document, lines: Iterable[Line]) -> Iterator[Finding]:
    """Values of secret-sounding names: `database-password` where the name is of a database."""
    if not is_guessed_in(document):
        return
    file_type = determine_file_type(document.path)
    patterns = REGEX_BY_FILETYPE.get(file_type, QUOTES_REQUIRED_DENYLIST_REGEX_TO_GROUP)
    for line in lines:
        if not is_worth_it(line.text):
            continue
        quoted = with_quotes(document, line)
        text = _LONG_RUN.sub(_without_keywords, quoted.text)
        for pattern, group in patterns.items():
            for match in pattern.finditer(text):
                if _is_secret(match, group, file_type):
                    yield quoted.finding(match.span(group), kind_of(match, group), "medium")


def is_worth_it(line: str, names: re.Pattern[str] = _KEYWORD) -> bool:
    """Whether a line holds a name for a secret, and not more of them than any line of code.

    More of them take quadratic time.
    """
    return 0 < sum(1 for _ in islice(names.finditer(line), _MOST_NAMES + 1)) <= _MOST_NAMES


def _without_keywords(run: re.Match[str]) -> str:
    return "-" * len(run.group()) if _KEYWORD.search(run.group()) else run.group()


def _is_secret(match: re.Match[str], group: int, file_type: FileType) -> bool:
    value, line = match.group(group), match.string
    quoted = line[match.start(group) - 1] in "\"'`"
    if not quoted and (file_type is FileType.GO or heuristic.is_indirect_reference(line)):
        return False
    return (
        not is_about(line[match.start() : match.start(group)])
        and len(value.split()) < _SENTENCE
        and not is_placeholder(value)
        and not is_ruled_out(value, line)
    )


def is_about(name: str) -> bool:
    """Whether a name says that its value is something about a secret, such as its file."""
    return _ABOUT.search(name) is not None


def kind_of(match: re.Match[str], group: int | str) -> str:
    """The kind of a value that a match found by its name."""
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


DETECTORS = (Detector(find, CLUE),)
