"""Splits a file into windows, each of which becomes a sample."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from erasetest.scanning.document import Document, Finding

MAX_WHOLE_FILE = 4_000
"""Maximum number of characters of a file that becomes one sample as a whole."""

CONTEXT_BEFORE = 2_000
"""Maximum number of characters before the first secret of a sample: the prompt of a CLM."""

CONTEXT_AFTER = 500
"""Approximate number of characters after the last secret of a sample."""

_MAX_SECRETS_SPAN = MAX_WHOLE_FILE - CONTEXT_BEFORE - CONTEXT_AFTER
"""Maximum number of characters from the first to the last target of a window."""


@dataclass(frozen=True, slots=True)
class Window:
    """A window `[start, end)` of a document, with all secrets in it.

    `targets` are the secrets that the window is cut for. A secret shortly before them is in their
    context, and therefore also in `secrets`: a sample must name every secret that it contains.
    """

    start: int
    end: int
    secrets: tuple[Finding, ...]
    targets: tuple[Finding, ...]


def split_into_windows(document: Document, secrets: Sequence[Finding]) -> Iterator[Window]:
    """Yield windows that cover all secrets, which are sorted and do not overlap.

    Windows start and end at line breaks, unless the line itself is longer than a window. They
    contain no line that is too long to be scanned, since its secrets are unknown.
    """
    text = document.text
    if not secrets:
        return
    if len(text) <= MAX_WHOLE_FILE:
        yield Window(0, len(text), tuple(secrets), tuple(secrets))
        return
    groups = list(_groups(document, secrets))
    for group, following in zip(groups, [*groups[1:], None], strict=True):
        start = _start(document, group[0], secrets)
        end = _end(document, group[-1], following[0].start if following else len(text))
        inside = secrets[_count_ended(secrets, start) : _count_ended(secrets, end)]
        yield Window(start, end, tuple(inside), tuple(group))


def _count_ended(secrets: Sequence[Finding], position: int) -> int:
    """Return how many secrets end at or before a position."""
    return bisect_right(secrets, position, key=lambda secret: secret.end)


def _groups(document: Document, secrets: Sequence[Finding]) -> Iterator[list[Finding]]:
    group = [secrets[0]]
    for secret in secrets[1:]:
        is_far = secret.end - group[0].start > _MAX_SECRETS_SPAN
        if is_far or _long_line_between(document, group[-1].end, secret.start):
            yield group
            group = []
        group.append(secret)
    yield group


def _long_line_between(document: Document, start: int, end: int) -> bool:
    return any(start <= line.start < end for line in document.long_lines)


def _start(document: Document, first: Finding, secrets: Sequence[Finding]) -> int:
    barrier = max((line.end for line in document.long_lines if line.end <= first.start), default=0)
    start = _next_line(document, max(first.start - CONTEXT_BEFORE, barrier), first.start)
    # Not inside an earlier secret.
    return min(start, secrets[_count_ended(secrets, start)].start)


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
    line = document.line_at(min(last.end + CONTEXT_AFTER, limit) - 1)
    # To the end of the line, unless that doubles the context.
    end = (
        line.end if line and line.end - last.end <= 2 * CONTEXT_AFTER else last.end + CONTEXT_AFTER
    )
    return max(last.end, min(end, limit))
