"""What keywords and entropy share: they guess, and detect-secrets' heuristics rule guesses out.

The heuristics on a whole file or line (lock files, swagger files, style sheets; identifiers; calls)
hold for guesses alone. detect-secrets lets them silence every plugin: it would not see a GitHub
token that is the argument of a call.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePath

from erasetest.scanning.detect_secrets_parts import heuristic
from erasetest.scanning.document import Confidence, Document, Finding, Line

_SUFFIXES = (
    ".bash .cf .cfg .cnf .conf .env .envrc .eyaml .ini .properties .sh .tfvars .toml .yaml .yml "
    ".zsh"
)
_SETTINGS_SUFFIXES = frozenset(_SUFFIXES.split())
_UNQUOTED = re.compile(
    r"""^\s*(?:-\s+|export\s+|ENV\s+|ARG\s+)?["']?[\w.\-/]+["']?\s*[:=]\s*"""
    r"""([^\s"'`#$(\[{<|>&*!%@,;][^\s"'`]*?)[,;]?(?:\s+[#;].*)?$"""
)


def is_guessed_in(document: Document) -> bool:
    """Whether guesses are made in this file at all (none in lock files and the like)."""
    name = document.path
    return not (
        heuristic.is_non_text_file(name)
        or heuristic.is_lock_file(name)
        or heuristic.is_swagger_file(name)
    )


def is_ruled_out(value: str, line: str) -> bool:
    """Whether detect-secrets' heuristics take a guessed secret of a line for something else."""
    return (
        heuristic.is_potential_uuid(value)
        or heuristic.is_likely_id_string(value, line)
        or heuristic.is_sequential_string(value)
        or heuristic.is_templated_secret(value)
        or heuristic.is_prefixed_with_dollar_sign(value)
        or heuristic.is_not_alphanumeric_string(value)
    )


@dataclass(frozen=True, slots=True)
class QuotedLine:
    """A line whose value may have been put in quotes, the first of them at `quote`."""

    text: str = field(repr=False)
    start: int
    quote: int

    def finding(self, span: tuple[int, int], kind: str, confidence: Confidence) -> Finding:
        """A finding in the document from a span of this line."""
        start, end = (self.start + at - (at > self.quote) for at in span)
        return Finding(start, end, kind, confidence)


def with_quotes(document: Document, line: Line) -> QuotedLine:
    """A line of a settings file with its value in quotes; any other line as it is.

    Settings files need no quotes around a value, and the patterns that guess need them to keep
    their noise low. (detect-secrets parses YAML and INI files for that; files of strangers are
    better not parsed, and a line at a time keeps the places exact.)
    """
    match = _UNQUOTED.match(line.text) if is_settings_file(document.path) else None
    if match is None:
        return QuotedLine(line.text, line.start, len(line.text))
    start, end = match.span(1)
    text = f'{line.text[:start]}"{line.text[start:end]}"{line.text[end:]}'
    return QuotedLine(text, line.start, start)


@lru_cache(1024)
def is_settings_file(path: str) -> bool:
    """Whether values need no quotes in a file of this name."""
    name = PurePath(path)
    return (
        name.suffix.lower() in _SETTINGS_SUFFIXES
        or name.name.startswith((".env", "Dockerfile"))
        or name.name.endswith(".env.example")
    )
