"""What detect-secrets' own plugins say of each line, from the lines that can hold something alone.

Our detectors find more, and whole secrets; this is for what is measured against detect-secrets
itself: its baseline files, and the test that looking at few lines loses nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

from erasetest.samples import Masked
from erasetest.scanning.detect_secrets_parts import (
    QUOTES_REQUIRED_DENYLIST_REGEX_TO_GROUP,
    REGEX_BY_FILETYPE,
    BasePlugin,
    HighEntropyStringsPlugin,
    KeywordDetector,
    RegexBasedDetector,
    determine_file_type,
    get_mapping_from_secret_type_to_class,
)
from erasetest.scanning.detectors import entropy, keywords, tokens
from erasetest.scanning.document import Document, Line
from erasetest.scanning.prefilter import Prefilter
from erasetest.scanning.required_literals import RequiredLiterals, required_literals_of


class PluginFinding(NamedTuple):
    """A value that a plugin yields for a line: often a part of the secret, such as `ghp`."""

    line: Line
    type: str
    value: Masked


def plugin_findings(document: Document) -> Iterator[PluginFinding]:
    """What each plugin yields for each line, before detect-secrets' filters; nothing is verified.

    Its lines are those that are not too long for a `Document`.
    """
    plugins, prefilter = _ready()
    for plugin, lines in zip(plugins, prefilter.lines(document), strict=True):
        for line in lines:
            for value in sorted(set(_values(plugin, document, line.text))):
                yield PluginFinding(line, str(plugin.secret_type), Masked(value))


def plugins_used() -> dict[str, BasePlugin]:
    """The plugins, by the names of what they find."""
    return {str(plugin.secret_type): plugin for plugin in _ready()[0]}


def _values(plugin: BasePlugin, document: Document, line: str) -> Iterator[str]:
    if isinstance(plugin, KeywordDetector):
        file_type = determine_file_type(document.path)
        patterns = REGEX_BY_FILETYPE.get(file_type, QUOTES_REQUIRED_DENYLIST_REGEX_TO_GROUP)
        yield from plugin.analyze_string(line, patterns)
    elif isinstance(plugin, HighEntropyStringsPlugin):
        for value in plugin.analyze_string(line):
            if plugin.calculate_shannon_entropy(value) > plugin.entropy_limit:
                yield value
    else:
        yield from plugin.analyze_string(line)


@cache
def _ready() -> tuple[list[BasePlugin], Prefilter]:
    known: Mapping[str, type[BasePlugin]] = get_mapping_from_secret_type_to_class()
    plugins = [plugin() for _, plugin in sorted(known.items())]
    return plugins, Prefilter([_clue(plugin) for plugin in plugins])


# The plugin takes digits of every script for the port alone.
_SHAPES = {
    "Public IP (ipv4)": r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]",
    # Nine different digits are the fewest whose entropy is above 3 bits, 23 above 4.5.
    "Hex High Entropy String": r"[\"'][0-9A-Fa-f]{9}",
    "Base64 High Entropy String": rf"[\"']{entropy.SIGNS}{{23}}",
}


def _clue(plugin: BasePlugin) -> RequiredLiterals | None:
    name = str(plugin.secret_type)
    if name in _SHAPES:
        return RequiredLiterals(shapes=frozenset({_SHAPES[name]}))
    if isinstance(plugin, KeywordDetector):
        return keywords.CLUE
    if isinstance(plugin, RegexBasedDetector):
        patterns: list[re.Pattern[str]] = list(plugin.denylist)
        return tokens.CLUES.get(name) or required_literals_of(patterns)
    return None
