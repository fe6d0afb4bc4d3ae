"""How a corpus is scanned, and what came of it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from erasetest.scanning.scan_job import Batch, Rules
from erasetest.scanning.sources import Columns

_SHOWN = 20
"""Names of each sort that a result holds; it counts all."""


@dataclass(frozen=True, slots=True)
class ScanSettings:
    """How a corpus is scanned.

    Attributes:
        rules: what counts as a finding.
        revision: scan git repositories as they are at this revision.
        columns: of data sets, where their names say too little.
        near_duplicates: keep pieces that are nearly the same, with the same secrets.
        limit: most samples; more are drawn at random, as many of each kind as there can be.
        seed: of that.
        processes: that scan.
    """

    rules: Rules = field(default_factory=Rules)
    revision: str | None = None
    columns: Columns | None = None
    near_duplicates: bool = False
    limit: int | None = None
    seed: int = 0
    processes: int = 1


@dataclass(slots=True)
class Names:
    """Some of many names, and how many there are."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        """Count a name."""
        self.count += 1
        if len(self.first) < _SHOWN:
            self.first.append(name)


@dataclass(slots=True)
class ScanSummary:
    """What a scan found, and what it did not look at.

    Attributes:
        texts: that were scanned: files, records of data sets.
        characters: of these.
        found: samples in the corpus, without duplicates.
        written: samples in the manifest: fewer than `found` where there is a limit.
        places: where a secret stands, by kind; a place in two pieces counts once, those of
            duplicates do not count.
        secrets: different ones.
        duplicates: pieces left out because the same code with the same secrets is a sample.
        near: pieces left out because nearly the same code with the same secrets is.
        guessed: texts whose encoding nothing tells.
        skipped: what was not scanned or not wholly, by reason (numbers in it left out).
        resumed: batches that an earlier run had done.
    """

    texts: int = 0
    characters: int = 0
    found: int = 0
    written: int = 0
    places: Counter[str] = field(default_factory=Counter)
    secrets: int = 0
    duplicates: int = 0
    near: int = 0
    guessed: Names = field(default_factory=Names)
    skipped: dict[str, Names] = field(default_factory=dict)
    resumed: int = 0

    def add(self, batch: Batch) -> None:
        """Count what was scanned and what was left out."""
        self.texts += batch.texts
        self.characters += batch.characters
        for name in batch.guessed:
            self.guessed.add(name)
        for skipped in batch.skipped:
            reason = re.sub(r"[0-9][0-9,.]*", "N", skipped.reason)
            names = self.skipped.setdefault(reason, Names())
            names.add(f"{skipped.path}: {skipped.reason}")
