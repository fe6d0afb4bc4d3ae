"""Runs all detectors on one document and returns every place of every secret, one kind each."""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from erasetest.errors import BadInput
from erasetest.scanning.detect_secrets_parts import CodeSnippet, RegexBasedDetector, allowlist
from erasetest.scanning.detectors import (
    Detector,
    basic_auth,
    emails,
    entropy,
    idioms,
    ip_addresses,
    jwts,
    keywords,
    private_keys,
    tokens,
)
from erasetest.scanning.document import Document, Finding, Line
from erasetest.scanning.heuristics import is_settings_file
from erasetest.scanning.prefilter import Prefilter

ENTRY_POINTS = "erasetest.detectors"
"""Group of entry points by which users add their own detectors: each is a `Detector` or a plugin
in detect-secrets' form (`RegexBasedDetector`)."""

# The detectors of these kinds see every place and reject some for their context, so that a
# repetition of a finding must not bring a rejected place back.
_NEVER_REPEATED = frozenset({"email", "ip-address", "private-key"})
# A secret may start at the beginning of a word or at any other visible character.
_SECRET_START = re.compile(r"(?<!\w)\w|[^\w\s]")

_MIN_WORD_LENGTH = 8
"""Minimum length of a purely alphabetic secret whose repetitions count."""

_MAX_SEPARATE_SEARCHES = 32
"""Up to this number of secrets, a string search for each is faster than one pass for all."""

_MAX_PREFIX_LENGTHS = 64
"""Up to this number of different lengths, secrets are indexed by their whole text."""

SortKey = tuple[bool, int, int, int, str]


def find_secrets(document: Document) -> list[Finding]:
    """Return every place of every secret of a document, sorted and without overlaps.

    A secret that one line identifies (`password = "…"`) also counts where it is repeated, except
    inside a longer word or on a line with an allowlist comment.
    """
    found: dict[Finding, int] = {}
    ranked, prefilter = prefiltered_detectors(is_settings_file(document.path))
    for (rank, detector), lines in zip(ranked, prefilter.lines(document), strict=True):
        for finding in detector.find(document, lines) if lines else ():
            if _counts(document, finding):
                found.setdefault(finding, rank)
    spans = {(finding.start, finding.end) for finding in found}
    # A repetition may replace the kind of a finding with the same span, but never splits a longer
    # finding.
    ordered = [(_sort_key(finding, rank, False), finding) for finding, rank in found.items()]
    ordered += [
        (_sort_key(finding, rank, (finding.start, finding.end) not in spans), finding)
        for finding, rank in _repetitions(document, found)
        if finding not in found and _counts(document, finding)
    ]
    return _without_overlaps(finding for _, finding in sorted(ordered, key=lambda pair: pair[0]))


@cache
def ranked_detectors() -> tuple[tuple[int, Detector], ...]:
    """Return all detectors with their ranks, most specific first; the lowest rank wins an overlap.

    Raises:
        BadInput: an entry point of a user cannot be loaded or is not a detector.
    """
    groups = (
        [_loaded(entry) for entry in sorted(entry_points(group=ENTRY_POINTS))],
        private_keys.DETECTORS,
        jwts.DETECTORS,
        tokens.DETECTORS,
        basic_auth.DETECTORS,
        emails.DETECTORS,
        ip_addresses.DETECTORS,
        keywords.DETECTORS,
        idioms.DETECTORS,
        entropy.DETECTORS,
    )
    return tuple((rank, one) for rank, group in enumerate(groups) for one in group)


@cache
def prefiltered_detectors(
    is_settings: bool,
) -> tuple[tuple[tuple[int, Detector], ...], Prefilter]:
    """Return all ranked detectors and the prefilter for settings files or for other files."""
    ranked = ranked_detectors()
    return ranked, Prefilter([detector.required_in(is_settings) for _, detector in ranked])


def _loaded(entry: EntryPoint) -> Detector:
    try:
        given = entry.load()
    except Exception as error:
        raise BadInput(
            f"the detector {entry.name} ({entry.value}) cannot be loaded: {type(error).__name__}"
        ) from error
    if isinstance(given, Detector):
        return given
    if isinstance(given, type) and issubclass(given, RegexBasedDetector):
        if given.analyze_string is not RegexBasedDetector.analyze_string:
            raise BadInput(
                f"the detector {entry.name} ({entry.value}) overrides analyze_string, and only its "
                "denylist would be used: provide an erasetest Detector instead"
            )
        return tokens.of_plugin(given)
    raise BadInput(
        f"the detector {entry.name} ({entry.value}) is neither an erasetest Detector nor a "
        "detect-secrets RegexBasedDetector"
    )


def _sort_key(finding: Finding, rank: int, is_late: bool) -> SortKey:
    return is_late, rank, finding.start - finding.end, finding.start, finding.kind


def _counts(document: Document, finding: Finding) -> bool:
    line = document.line_at(finding.start)
    return line is not None and not _is_allowlisted(document, line)


def _is_allowlisted(document: Document, line: Line) -> bool:
    """Return whether a comment allowlists the line, by the rules of detect-secrets.

    The comment is `# pragma: allowlist secret` on the line itself, or `# pragma: allowlist
    nextline secret` on the line before.
    """
    before = document.line_at(line.start - 1) if line.start else None
    previous = before.text if before else ""
    if "pragma" not in line.text and "pragma" not in previous:
        return False
    snippet = CodeSnippet([previous, line.text], start_line=0, target_index=1)
    return bool(allowlist.is_line_allowlisted(document.path, line.text, snippet))


def _repetitions(document: Document, found: dict[Finding, int]) -> Iterator[tuple[Finding, int]]:
    text = document.text
    known: dict[str, dict[str, tuple[int, Finding]]] = {}
    for finding, rank in found.items():
        if finding.kind not in _NEVER_REPEATED:
            known.setdefault(text[finding.start : finding.end], {})[finding.kind] = rank, finding
    for secret, at in _occurrences(text, known):
        if _is_separate(text, at, at + len(secret)):
            for rank, finding in known[secret].values():
                yield replace(finding, start=at, end=at + len(secret)), rank


def _occurrences(text: str, secrets: Collection[str]) -> Iterator[tuple[str, int]]:
    """Yield each secret with each place where it occurs at a possible start of a secret."""
    if len(secrets) <= _MAX_SEPARATE_SEARCHES:
        for secret in secrets:
            at = text.find(secret)
            while at >= 0:
                if _SECRET_START.match(text, at):
                    yield secret, at
                at = text.find(secret, at + 1)
        return
    # One pass for all secrets: a file may contain a hundred thousand of them. They are indexed by
    # prefix: the whole secret if there are few lengths, else its longest prefix of a power of two.
    lengths = {len(secret) for secret in secrets}
    by_prefix: dict[str, list[str]] = {}
    for secret in secrets:
        size = (
            len(secret)
            if len(lengths) <= _MAX_PREFIX_LENGTHS
            else 1 << (len(secret).bit_length() - 1)
        )
        by_prefix.setdefault(secret[:size], []).append(secret)
    prefix_lengths = sorted({len(prefix) for prefix in by_prefix})
    for start in _SECRET_START.finditer(text):
        at = start.start()
        for length in prefix_lengths:
            for secret in by_prefix.get(text[at : at + length], ()):
                if text.startswith(secret, at):
                    yield secret, at


def _is_separate(text: str, start: int, end: int) -> bool:
    """Return whether a repeated secret is separate, not a part of a longer word."""
    before, after = text[max(0, start - 1) : start], text[end : end + 1]
    if text[start:end].isalpha() and end - start < _MIN_WORD_LENGTH:
        # A short word occurs in many places where it is not a secret.
        return False
    if text[start:end].isalpha():
        # A password that is a plain word counts only as a whole string, not inside names.
        return before == after != "" and before in "\"'`"
    return not _joins(text[end - 1], after)


def _joins(left: str, right: str) -> bool:
    return all(side.isalnum() or side == "_" for side in (left, right))


def _without_overlaps(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that overlap none of the earlier ones, sorted by position."""
    kept: list[tuple[int, int, Finding]] = []
    for finding in findings:
        at = bisect_left(kept, finding.end, key=lambda item: item[0])
        if at == 0 or kept[at - 1][1] <= finding.start:
            insort(kept, (finding.start, finding.end, finding), key=lambda item: item[0])
    return [finding for _, _, finding in kept]
