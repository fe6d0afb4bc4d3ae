"""Heuristics of detect-secrets that reject guessed secrets (keywords, idioms, entropy).

Heuristics on a whole file or line (lock files, swagger files; identifiers; calls) apply only to
guesses. detect-secrets lets them silence every plugin, so that it misses a GitHub token that is the
argument of a call.
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


def allows_guesses(document: Document) -> bool:
    """Return whether guesses count in this file; they do not in lock files and similar files."""
    name = document.path
    return not (
        heuristic.is_non_text_file(name)
        or heuristic.is_lock_file(name)
        or heuristic.is_swagger_file(name)
    )


def is_rejected(value: str, line: str) -> bool:
    """Return whether detect-secrets' heuristics reject a guessed secret of a line."""
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
    """A line whose value may have been put in quotes, with the first quote at `quote`."""

    text: str = field(repr=False)
    start: int
    quote: int

    def finding(self, span: tuple[int, int], kind: str, confidence: Confidence) -> Finding:
        """Return a finding in the document for a span of this line."""
        # The quote that was inserted before the span is not in the document.
        start, end = (self.start + at - (at > self.quote) for at in span)
        return Finding(start, end, kind, confidence)


def with_quotes(document: Document, line: Line) -> QuotedLine:
    """Put the value of a line of a settings file in quotes; leave any other line as it is.

    Values in settings files need no quotes, but the patterns that guess require them to limit
    false positives. detect-secrets parses YAML and INI files instead; working on single lines
    avoids parsing untrusted files and keeps spans exact.
    """
    match = _UNQUOTED.match(line.text) if is_settings_file(document.path) else None
    if match is None:
        return QuotedLine(line.text, line.start, len(line.text))
    start, end = match.span(1)
    text = f'{line.text[:start]}"{line.text[start:end]}"{line.text[end:]}'
    return QuotedLine(text, line.start, start)


@lru_cache(1024)
def is_settings_file(path: str) -> bool:
    """Return whether a file of this name is a settings file, in which values need no quotes."""
    name = PurePath(path)
    return (
        name.suffix.lower() in _SETTINGS_SUFFIXES
        or name.name.startswith((".env", "Dockerfile"))
        or name.name.endswith(".env.example")
    )
