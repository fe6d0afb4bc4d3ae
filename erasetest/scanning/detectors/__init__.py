"""Detectors, one strategy per module: from candidate lines of a document to the spans of secrets.

Lines that lack a detector's required literals cannot match and are not passed to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from erasetest.scanning.document import Document, Finding, Line
from erasetest.scanning.required_literals import RequiredLiterals

Find = Callable[[Document, Iterable[Line]], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Detector:
    """A strategy: a function from lines to findings, and which lines it needs.

    Attributes:
        find: called with a document and, in order, its lines that contain the required literals.
        required: literals of which every matching line contains at least one; None if any line may
            match.
        required_in_settings: the same for settings files, where values need no quotes; None if
            `required` holds there too.
    """

    find: Find
    required: RequiredLiterals | None
    required_in_settings: RequiredLiterals | None = None

    def required_in(self, is_settings: bool) -> RequiredLiterals | None:
        """Return the required literals for a settings file or for any other file."""
        if is_settings and self.required_in_settings is not None:
            return self.required_in_settings
        return self.required
