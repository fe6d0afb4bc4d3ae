"""Findings of detect-secrets' own plugins, computed from prefiltered lines.

Our detectors find more secrets, and whole ones. These findings serve comparisons with
detect-secrets itself: its baseline files, and the test that the prefilter loses nothing.
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
    """A value that a plugin yields for a line; often only a part of the secret, such as `ghp`."""

    line: Line
    type: str
    value: Masked


def plugin_findings(document: Document) -> Iterator[PluginFinding]:
    """Yield what each plugin finds in each line, without detect-secrets' filters or verification.

    Lines that are too long for a `Document` are left out.
    """
    plugins, prefilter = _plugins_and_prefilter()
    for plugin, lines in zip(plugins, prefilter.lines(document), strict=True):
        for line in lines:
            for value in sorted(set(_values(plugin, document, line.text))):
                yield PluginFinding(line, str(plugin.secret_type), Masked(value))


def plugins_used() -> dict[str, BasePlugin]:
    """Return the plugins by their secret types."""
    return {str(plugin.secret_type): plugin for plugin in _plugins_and_prefilter()[0]}


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
def _plugins_and_prefilter() -> tuple[list[BasePlugin], Prefilter]:
    known: Mapping[str, type[BasePlugin]] = get_mapping_from_secret_type_to_class()
    plugins = [plugin() for _, plugin in sorted(known.items())]
    return plugins, Prefilter([_required(plugin) for plugin in plugins])


_SHAPES = {
    # Of this plugin's pattern, only the port allows digits of other scripts.
    "Public IP (ipv4)": r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]",
    # The plugins' entropy limits of 3 and 4.5 bits need 9 and 23 different characters.
    "Hex High Entropy String": r"[\"'][0-9A-Fa-f]{9}",
    "Base64 High Entropy String": rf"[\"']{entropy.BASE64_CHARACTER}{{23}}",
}


def _required(plugin: BasePlugin) -> RequiredLiterals | None:
    name = str(plugin.secret_type)
    if name in _SHAPES:
        return RequiredLiterals(shapes=frozenset({_SHAPES[name]}))
    if isinstance(plugin, KeywordDetector):
        return keywords.REQUIRED
    if isinstance(plugin, RegexBasedDetector):
        patterns: list[re.Pattern[str]] = list(plugin.denylist)
        return tokens.REQUIRED.get(name) or required_literals_of(patterns)
    return None
