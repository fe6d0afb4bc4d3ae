"""Escaping of text for Markdown."""

from __future__ import annotations

import re

_LINE_BREAKS = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_MARKUP = re.compile(r"[&<>|\\`*\[\]~]")
_UNDERSCORE_AT_WORD_EDGE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
"""Underscores that Markdown may take for emphasis; those inside a word it prints as they are."""


def escape(text: str) -> str:
    """Return text as one line that Markdown renders unchanged: markup characters as entities.

    Backslash escapes would not do: renderers disagree on a backslash before a pipe in a table.
    """
    line = " ".join(_LINE_BREAKS.split(text))
    return _UNDERSCORE_AT_WORD_EDGE.sub(_entity, _MARKUP.sub(_entity, line))


def _entity(character: re.Match[str]) -> str:
    return f"&#{ord(character.group())};"
