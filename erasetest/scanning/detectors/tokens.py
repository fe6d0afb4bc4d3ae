"""Tokens whose format identifies the issuer: detect-secrets' plugins, and ours in the same form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

from erasetest.scanning.detect_secrets_parts import (
    RegexBasedDetector,
    get_mapping_from_secret_type_to_class,
)
from erasetest.scanning.detectors import Detector
from erasetest.scanning.document import Document, Finding, Line
from erasetest.scanning.issuers import END, ISSUERS, START
from erasetest.scanning.placeholders import is_filler
from erasetest.scanning.required_literals import NON_ASCII, RequiredLiterals, required_literals_of

# Secret types that have their own modules here.
_OTHER_MODULES = frozenset(
    {"Basic Auth Credentials", "JSON Web Token", "Private Key", "Public IP (ipv4)"}
)
# Secret types whose patterns group alternatives of the prefix, not the secret.
_WHOLE_MATCH = frozenset({"GitHub Token", "GitLab Token"})
# The secret inside a match that extends beyond it.
_CORES = {
    "Artifactory Credentials": re.compile(r"[A-Za-z0-9]+"),
    "Azure Storage Account access key": re.compile(r"(?<==)[A-Za-z0-9+/=]+"),
}
# What follows the match in newer tokens, which are longer than the patterns allow.
_TAILS = {
    "Discord Bot Token": re.compile(r"[\w-]*", re.ASCII),
    "Stripe Access Key": re.compile(r"[0-9A-Za-z]*"),
}
# Patterns that replace those of the plugin.
_REPLACED = {
    # The plugin's pattern matches the rest of the line, and takes quadratic time to find a start.
    "NPM tokens": [re.compile(r"/:_authToken=\s*(npm_\w+|[A-Fa-f0-9-]{36})")],
    # Without boundaries it finds account numbers in names of resources.
    "Telegram Bot Token": [
        re.compile(r"(?:(?<!\w)|(?<=bot))[0-9]{8,10}:[0-9A-Za-z_-]{35}(?![\w-])")
    ],
}
_OF_FORTY = r"([0-9a-zA-Z/+]{40})(?![0-9a-zA-Z/+=])"
# Patterns for other contexts of the same secrets.
_ADDED = {
    "Artifactory Credentials": [
        re.compile(rf"(?<![/+]){START}AKC[a-zA-Z0-9]{{10,}}{END}(?![/+=])")
    ],
    "AWS Access Key": [
        re.compile(
            r"(?i:aws.{0,20}?(?:key|secret)|secret_?access_?key)\w{0,20}[\"'\\]{0,2}\s?[=:]\s?"
            rf"[\"'\\]{{0,2}}{_OF_FORTY}"
        ),
        # The secret access key next to the access key id.
        re.compile(rf"(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[0-9A-Z]{{16}}\W.{{0,60}}?\W{_OF_FORTY}"),
    ],
    "Azure Storage Account access key": [
        re.compile(
            r"(?i:(?:storage|account)_?(?:access_?)?key\w{0,20}[\"']?\s?(?:[=:,(]|=>)\s?[\"']?)"
            r"([A-Za-z0-9+/]{86}==)"
        )
    ],
}
_KINDS = {"NPM tokens": "npm-token"}
_AWS_ID = re.compile(r"(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[0-9A-Z]{16}")

REQUIRED = {
    # The rarest word of its pattern would be `ap`.
    "Artifactory Credentials": RequiredLiterals(
        words=frozenset({"akc"}),
        shapes=frozenset({rf"AP[0-9A-F{NON_ASCII}][A-Za-z0-9{NON_ASCII}]{{8}}"}),
    ),
}


def of_plugin(plugin: type[RegexBasedDetector]) -> Detector:
    """Return the detector of a plugin whose patterns are token formats."""
    name = str(plugin.secret_type)
    patterns = _REPLACED.get(name) or [*plugin().denylist, *_ADDED.get(name, [])]
    return Detector(
        partial(_find, name, patterns), REQUIRED.get(name) or required_literals_of(patterns)
    )


def _find(
    type_name: str,
    patterns: Sequence[re.Pattern[str]],
    _document: Document,
    lines: Iterable[Line],
) -> Iterator[Finding]:
    for line in lines:
        for pattern in patterns:
            # A failing search takes a third of the time of an empty `finditer`.
            if pattern.search(line.text) is None:
                continue
            for match in pattern.finditer(line.text):
                start, end = _secret_span(type_name, match)
                token = line.text[start:end]
                if token and not is_filler(token):
                    yield Finding(line.start + start, line.start + end, _kind(type_name, token))


def kind_of(type_name: str) -> str:
    """Return the kind for a secret type of detect-secrets: `Slack Token` is `slack-token`."""
    return _KINDS.get(type_name) or re.sub(r"[^a-z0-9]+", "-", type_name.lower()).strip("-")


def _kind(type_name: str, token: str) -> str:
    # One plugin finds both halves of an AWS key pair; only the id has the kind `aws-access-key`.
    if type_name == "AWS Access Key" and not _AWS_ID.fullmatch(token):
        return "aws-secret-access-key"
    return kind_of(type_name)


def _secret_span(type_name: str, match: re.Match[str]) -> tuple[int, int]:
    groups = () if type_name in _WHOLE_MATCH else range(1, (match.re.groups or 0) + 1)
    group = next((group for group in groups if match.group(group)), 0)
    start, end = match.span(group)
    core = None if group else _CORES.get(type_name)
    inner = core.search(match.string, start, end) if core else None
    if inner:
        return inner.span()
    tail = _TAILS[type_name].match(match.string, end) if type_name in _TAILS else None
    return start, tail.end() if tail else end


def plugins() -> list[type[RegexBasedDetector]]:
    """Return the plugins whose patterns are token formats: detect-secrets' and ours."""
    known: Mapping[str, type[object]] = get_mapping_from_secret_type_to_class()
    theirs = [
        plugin
        for name, plugin in sorted(known.items())
        if name not in _OTHER_MODULES and issubclass(plugin, RegexBasedDetector)
    ]
    return [*theirs, *ISSUERS]


DETECTORS = tuple(map(of_plugin, plugins()))
