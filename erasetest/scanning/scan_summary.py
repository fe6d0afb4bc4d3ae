"""Counts of what a scan found and of what it did not scan."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from erasetest.scanning.scan_job import Batch

_MAX_NAMES = 20
"""Maximum number of names that a summary keeps for each reason; all are counted."""


@dataclass(slots=True)
class Names:
    """The number of some names, and the first of them."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        """Count a name."""
        self.count += 1
        if len(self.first) < _MAX_NAMES:
            self.first.append(name)


@dataclass(slots=True)
class ScanSummary:
    """What a scan found, and what it did not scan.

    Attributes:
        texts: number of texts that were scanned: files, or records of data sets.
        characters: number of characters in them.
        found: number of samples in the corpus, without duplicates.
        written: number of samples in the manifest; less than `found` if there is a limit.
        places: number of places of secrets, by kind. A place in two samples counts once; places in
            duplicates do not count.
        secrets: number of different secrets.
        duplicates: number of samples left out for the same code with the same secrets.
        near_duplicates: number of samples left out for nearly the same code with the same secrets.
        guessed: texts whose encoding had to be guessed.
        skipped: texts that were not scanned, or only in part, by reason (with numbers replaced).
        resumed: number of batches that an earlier run had scanned.
    """

    texts: int = 0
    characters: int = 0
    found: int = 0
    written: int = 0
    places: Counter[str] = field(default_factory=Counter)
    secrets: int = 0
    duplicates: int = 0
    near_duplicates: int = 0
    guessed: Names = field(default_factory=Names)
    skipped: dict[str, Names] = field(default_factory=dict)
    resumed: int = 0

    def add(self, batch: Batch) -> None:
        """Add the texts of a batch, scanned and skipped."""
        self.texts += batch.texts
        self.characters += batch.characters
        for name in batch.guessed:
            self.guessed.add(name)
        for skipped in batch.skipped:
            reason = re.sub(r"[0-9][0-9,.]*", "N", skipped.reason)
            names = self.skipped.setdefault(reason, Names())
            names.add(f"{skipped.path}: {skipped.reason}")
