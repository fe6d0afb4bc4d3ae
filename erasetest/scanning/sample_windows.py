"""Cutting a file into the pieces that become samples."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from erasetest.scanning.document import Document, Finding

WHOLE_FILE = 4_000
"""Characters of a file that is one sample as it is."""

BEFORE = 2_000
"""Characters of context before the first secret of a sample: what a CLM is prompted with."""

AFTER = 500
"""Characters after its last secret."""

_TOGETHER = WHOLE_FILE - BEFORE - AFTER


@dataclass(frozen=True, slots=True)
class Window:
    """The piece `[start, end)` of a document, and all secrets in it.

    `fresh` are those that the window is for. A secret that stands close before them is in the
    context and so in `secrets` as well: a sample must not hold a secret that it does not name.
    """

    start: int
    end: int
    secrets: tuple[Finding, ...]
    fresh: tuple[Finding, ...]


def cut(document: Document, secrets: Sequence[Finding]) -> Iterator[Window]:
    """Windows that cover all secrets (sorted, not overlapping), cut at line breaks.

    A line that is too long to be scanned is in no window, since nobody knows what it holds; and a
    window inside one longer line than it could hold is cut within the line.
    """
    text = document.text
    if not secrets:
        return
    if len(text) <= WHOLE_FILE:
        yield Window(0, len(text), tuple(secrets), tuple(secrets))
        return
    groups = list(_groups(document, secrets))
    for group, following in zip(groups, [*groups[1:], None], strict=True):
        start = _start(document, group[0], secrets)
        end = _end(document, group[-1], following[0].start if following else len(text))
        inside = secrets[_ended(secrets, start) : _ended(secrets, end)]
        yield Window(start, end, tuple(inside), tuple(group))


def _ended(secrets: Sequence[Finding], position: int) -> int:
    """How many of the secrets end at a position or before it."""
    return bisect_right(secrets, position, key=lambda secret: secret.end)


def _groups(document: Document, secrets: Sequence[Finding]) -> Iterator[list[Finding]]:
    group = [secrets[0]]
    for secret in secrets[1:]:
        apart = secret.end - group[0].start > _TOGETHER
        if apart or _long_line_between(document, group[-1].end, secret.start):
            yield group
            group = []
        group.append(secret)
    yield group


def _long_line_between(document: Document, start: int, end: int) -> bool:
    return any(start <= line.start < end for line in document.long_lines)


def _start(document: Document, first: Finding, secrets: Sequence[Finding]) -> int:
    barrier = max((line.end for line in document.long_lines if line.end <= first.start), default=0)
    start = _next_line(document, max(first.start - BEFORE, barrier), first.start)
    return min(start, secrets[_ended(secrets, start)].start)


def _next_line(document: Document, start: int, latest: int) -> int:
    line = document.line_at(start)
    if line is None or line.start == start or line.end > latest:
        return start
    return line.end


def _end(document: Document, last: Finding, following: int) -> int:
    limit = min(
        (line.start for line in document.long_lines if line.start >= last.end),
        default=len(document.text),
    )
    next_line = document.line_at(following)
    if next_line is not None:
        limit = min(limit, max(next_line.start, last.end))
    line = document.line_at(min(last.end + AFTER, limit) - 1)
    whole = line.end if line and line.end - last.end <= 2 * AFTER else last.end + AFTER
    return max(last.end, min(whole, limit))
