"""All detectors on one document: every place of every secret, one kind a place."""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator

from erasetest.scan.allowlist import is_allowlisted
from erasetest.scan.detectors import (
    basic_auth,
    emails,
    entropy,
    ip_addresses,
    jwts,
    keywords,
    private_keys,
    tokens,
)
from erasetest.scan.document import Document, Finding

Detector = Callable[[Document], Iterator[Finding]]

DETECTORS: tuple[Detector, ...] = (
    private_keys.find,
    jwts.find,
    tokens.find,
    basic_auth.find,
    emails.find,
    ip_addresses.find,
    keywords.find,
    entropy.find,
)
"""The most specific first: where findings overlap, the kind of the first one stands."""

# Their detectors see every place, and leave some out for what stands around them.
_COMPLETE = frozenset({"email", "ip-address", "private-key"})
# Where a secret may start: at a word, or at any sign.
_START = re.compile(r"(?<!\w)\w|[^\w\s]")

Order = tuple[bool, int, int, int, str]


def find_secrets(document: Document) -> list[Finding]:
    """Every place of every secret of a document, in order, none overlapping another.

    A secret that one line gives away (`password = "…"`) is one wherever else it stands, unless in
    the middle of a longer word or on a line with an allowlist pragma.
    """
    found = {
        finding: rank
        for rank, find in reversed(list(enumerate(DETECTORS)))
        for finding in find(document)
        if _counts(document, finding)
    }
    spans = {(finding.start, finding.end) for finding in found}
    # A repetition gives its kind to a finding of the same span, but never cuts up a longer one.
    ordered = [(_order(finding, rank, False), finding) for finding, rank in found.items()]
    ordered += [
        (_order(finding, rank, (finding.start, finding.end) not in spans), finding)
        for finding, rank in _repetitions(document, found)
        if finding not in found and _counts(document, finding)
    ]
    return _disjoint(finding for _, finding in sorted(ordered, key=lambda pair: pair[0]))


def _order(finding: Finding, rank: int, late: bool) -> Order:
    return late, rank, finding.start - finding.end, finding.start, finding.kind


def _counts(document: Document, finding: Finding) -> bool:
    line = document.line_at(finding.start)
    return line is not None and not is_allowlisted(document, line)


def _repetitions(document: Document, found: dict[Finding, int]) -> Iterator[tuple[Finding, int]]:
    text = document.text
    kinds: dict[str, dict[str, int]] = {}
    for finding, rank in found.items():
        if finding.kind not in _COMPLETE:
            kinds.setdefault(text[finding.start : finding.end], {})[finding.kind] = rank
    lengths = sorted({len(secret) for secret in kinds})
    # One pass for all secrets: a file may hold a hundred thousand of them.
    for start in _START.finditer(text) if lengths else ():
        at = start.start()
        for length in lengths:
            known = kinds.get(text[at : at + length])
            if known and _stands_alone(text, at, at + length):
                for kind, rank in known.items():
                    yield Finding(at, at + length, kind), rank


def _stands_alone(text: str, start: int, end: int) -> bool:
    before, after = text[max(0, start - 1) : start], text[end : end + 1]
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
