"""All detectors on one document: every place of every secret, one kind a place."""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from erasetest.errors import BadInput
from erasetest.scanning.allowlist import is_allowlisted
from erasetest.scanning.detect_secrets_parts import RegexBasedDetector
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
from erasetest.scanning.document import Document, Finding
from erasetest.scanning.heuristics import is_settings_file
from erasetest.scanning.prefilter import Prefilter

ENTRY_POINTS = "erasetest.detectors"
"""The group of entry points by which users add detectors of their own: each a `Detector`, or a
plugin in detect-secrets' form (`RegexBasedDetector`)."""

# Their detectors see every place, and leave some out for what stands around them.
_COMPLETE = frozenset({"email", "ip-address", "private-key"})
# Where a secret may start: at a word, or at any sign.
_START = re.compile(r"(?<!\w)\w|[^\w\s]")

_WORD = 8

_LENGTHS = 64

# So many are looked for one by one.
_FEW = 32

Order = tuple[bool, int, int, int, str]


def find_secrets(document: Document) -> list[Finding]:
    """Every place of every secret of a document, in order, none overlapping another.

    A secret that one line gives away (`password = "…"`) is one wherever else it stands, unless in
    the middle of a longer word or on a line with an allowlist pragma.
    """
    found: dict[Finding, int] = {}
    ranked, prefilter = _ready(is_settings_file(document.path))
    for (rank, detector), lines in zip(ranked, prefilter.lines(document), strict=True):
        for finding in detector.find(document, lines) if lines else ():
            if _counts(document, finding):
                found.setdefault(finding, rank)
    spans = {(finding.start, finding.end) for finding in found}
    # A repetition gives its kind to a finding of the same span, but never cuts up a longer one.
    ordered = [(_order(finding, rank, False), finding) for finding, rank in found.items()]
    ordered += [
        (_order(finding, rank, (finding.start, finding.end) not in spans), finding)
        for finding, rank in _repetitions(document, found)
        if finding not in found and _counts(document, finding)
    ]
    return _disjoint(finding for _, finding in sorted(ordered, key=lambda pair: pair[0]))


@cache
def ranked_detectors() -> tuple[tuple[int, Detector], ...]:
    """All detectors, the most specific first: where findings overlap, the first one's kind stands.

    Raises:
        BadInput: an entry point of a user cannot be loaded, or is no detector.
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
def _ready(in_settings: bool) -> tuple[tuple[tuple[int, Detector], ...], Prefilter]:
    ranked = ranked_detectors()
    clues = [(in_settings and detector.clue_in_settings) or detector.clue for _, detector in ranked]
    return ranked, Prefilter(clues)


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
                f"the detector {entry.name} ({entry.value}) does more than its denylist: give an "
                "erasetest Detector instead"
            )
        return tokens.of_plugin(given)
    raise BadInput(
        f"the detector {entry.name} ({entry.value}) is neither an erasetest Detector nor a "
        "detect-secrets RegexBasedDetector"
    )


def _order(finding: Finding, rank: int, late: bool) -> Order:
    return late, rank, finding.start - finding.end, finding.start, finding.kind


def _counts(document: Document, finding: Finding) -> bool:
    line = document.line_at(finding.start)
    return line is not None and not is_allowlisted(document, line)


def _repetitions(document: Document, found: dict[Finding, int]) -> Iterator[tuple[Finding, int]]:
    text = document.text
    known: dict[str, dict[str, tuple[int, Finding]]] = {}
    for finding, rank in found.items():
        if finding.kind not in _COMPLETE:
            known.setdefault(text[finding.start : finding.end], {})[finding.kind] = rank, finding
    for secret, at in _occurrences(text, known):
        if _stands_alone(text, at, at + len(secret)):
            for rank, finding in known[secret].values():
                yield replace(finding, start=at, end=at + len(secret)), rank


def _occurrences(text: str, secrets: Collection[str]) -> Iterator[tuple[str, int]]:
    """Each secret and each place where it starts as a word or sign of its own would."""
    if len(secrets) <= _FEW:
        for secret in secrets:
            at = text.find(secret)
            while at >= 0:
                if _START.match(text, at):
                    yield secret, at
                at = text.find(secret, at + 1)
        return
    # One pass for all secrets: a file may hold a hundred thousand of them. They are told apart by
    # their beginnings: by all of it where there are few lengths, else by the half or more of it.
    lengths = {len(secret) for secret in secrets}
    alike: dict[str, list[str]] = {}
    for secret in secrets:
        known = len(secret) if len(lengths) <= _LENGTHS else 1 << (len(secret).bit_length() - 1)
        alike.setdefault(secret[:known], []).append(secret)
    beginnings = sorted({len(beginning) for beginning in alike})
    for start in _START.finditer(text):
        at = start.start()
        for length in beginnings:
            for secret in alike.get(text[at : at + length], ()):
                if text.startswith(secret, at):
                    yield secret, at


def _stands_alone(text: str, start: int, end: int) -> bool:
    before, after = text[max(0, start - 1) : start], text[end : end + 1]
    if text[start:end].isalpha() and end - start < _WORD:
        # A short word is one in many places where it is no secret.
        return False
    if text[start:end].isalpha():
        # A password that is a plain word stands for itself as a whole string, not in every name.
        return before == after != "" and before in "\"'`"
    return not _joins(text[end - 1], after)


def _joins(left: str, right: str) -> bool:
    return all(side.isalnum() or side == "_" for side in (left, right))


def _disjoint(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that overlap none before them, sorted by place."""
    kept: list[tuple[int, int, Finding]] = []
    for finding in findings:
        at = bisect_left(kept, finding.end, key=lambda item: item[0])
        if at == 0 or kept[at - 1][1] <= finding.start:
            insort(kept, (finding.start, finding.end, finding), key=lambda item: item[0])
    return [finding for _, _, finding in kept]
