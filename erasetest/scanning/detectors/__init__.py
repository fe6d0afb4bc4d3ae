"""Detectors, one strategy a module: from the lines that hold its clue to the places of secrets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from erasetest.scanning.document import Document, Finding, Line
from erasetest.scanning.required_literals import RequiredLiterals

Find = Callable[[Document, Iterable[Line]], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Detector:
    """A strategy: a function from lines to findings, and which lines it has to see.

    Attributes:
        find: given a document and, in order, its lines that hold the clue.
        clue: what each line holds in which it finds anything; None: it wants every line.
        clue_in_settings: the same for settings files, where values need no quotes; None: no other.
    """

    find: Find
    clue: RequiredLiterals | None
    clue_in_settings: RequiredLiterals | None = None
