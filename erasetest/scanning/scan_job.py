"""What a process that scans tells the one that writes: pieces of texts, and what it left out."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from erasetest.samples import SensitiveSample, Source, make_sample, to_line
from erasetest.scanning.detect_secrets_baseline import Baseline
from erasetest.scanning.detection import find_secrets
from erasetest.scanning.document import LONGEST_LINE, Confidence, Document, Finding
from erasetest.scanning.near_duplicates import sketch
from erasetest.scanning.sample_windows import Window, cut
from erasetest.scanning.sources import Job, Text
from erasetest.scanning.walk import Skipped
from erasetest.support.atomic_files import id_key

CONFIDENCES: tuple[Confidence, ...] = ("low", "medium", "high")


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as a finding."""

    min_confidence: Confidence = "low"
    baseline: Baseline | None = None


@dataclass(frozen=True, slots=True)
class CandidateSample:
    """A sample to be, with keyed hashes of its secrets in place of anything that shows them.

    Attributes:
        row: of the manifest.
        hashes: of each secret of the row.
        fresh: the numbers of those secrets that the piece is for; others stand before them and
            belong to an earlier piece.
        sketch: of the code without its secrets.
    """

    row: dict[str, Any] = field(repr=False)
    hashes: list[str]
    fresh: list[int]
    sketch: list[int] = field(repr=False)


@dataclass(slots=True)
class Batch:
    """What came of one job.

    Attributes:
        job: its key.
        texts: how many were scanned.
        characters: in all of these.
        guessed: names of texts whose encoding was guessed.
        skipped: what was not scanned, or not wholly, and why.
        pieces: in the order of the texts.
    """

    job: str
    texts: int = 0
    characters: int = 0
    guessed: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    pieces: list[CandidateSample] = field(default_factory=list, repr=False)

    def to_json(self) -> str:
        """One line."""
        row = {name: getattr(self, name) for name in self.__slots__}
        row["pieces"] = [
            {name: getattr(piece, name) for name in piece.__slots__} for piece in self.pieces
        ]
        return json.dumps(row)

    def take(self, other: Batch) -> None:
        """Add what came of a part of the same job."""
        self.texts += other.texts
        self.characters += other.characters
        self.guessed += other.guessed
        self.skipped += other.skipped
        self.pieces += other.pieces

    def without_code(self) -> Batch:
        """The batch with hashes alone in its pieces."""
        pieces = [CandidateSample({}, piece.hashes, piece.fresh, []) for piece in self.pieces]
        return dataclasses.replace(self, pieces=pieces)

    @classmethod
    def from_json(cls, line: str | bytes) -> Batch:
        """The batch of a line.

        Raises:
            ValueError, TypeError, KeyError: it is of another form.
        """
        row = json.loads(line)
        skipped = [Skipped(*given) for given in row.pop("skipped")]
        pieces = [CandidateSample(**given) for given in row.pop("pieces")]
        return cls(**row, skipped=skipped, pieces=pieces)


@dataclass(frozen=True, slots=True)
class SerializedBatch:
    """A batch as it is kept, and what is counted of it."""

    text: str = field(repr=False)
    batch: Batch


_rules = Rules()


def prepare(rules: Rules) -> None:
    """Set what counts as a finding, in this process."""
    global _rules
    _rules = rules


def scan_job(job: Job, first: int = 0, last: int | None = None) -> Batch:
    """Read and scan the texts of a job, or those from one number to before another, from 0."""
    batch = Batch(job.key)
    for text in islice(job.texts(), first, last):
        _take_text(text, batch)
    return batch


def _take_text(text: Text | Skipped, batch: Batch) -> None:
    if isinstance(text, Skipped):
        batch.skipped.append(text)
    else:
        _scan(text, batch)


def count(job: Job) -> int:
    """How many texts a job has."""
    return sum(1 for _ in job.texts())


def name_of(job: Job, number: int) -> str:
    """The name of a text of a job."""
    text = next(islice(job.texts(), number, None), None)
    return job.name if text is None else text.path if isinstance(text, Skipped) else text.name


def scan_to_line(job: Job) -> SerializedBatch:
    """As `scan_job`, ready to be kept: the process that collects has little left to do."""
    batch = scan_job(job)
    return SerializedBatch(batch.to_json(), batch.without_code())


def windows_of(document: Document, rules: Rules) -> Iterator[Window]:
    """The windows of a text that hold findings."""
    least = CONFIDENCES.index(rules.min_confidence)
    findings = [
        finding
        for finding in find_secrets(document)
        if CONFIDENCES.index(finding.confidence) >= least
    ]
    if rules.baseline is not None:
        findings = rules.baseline.left(document, findings)
    return cut(document, findings)


def _scan(text: Text, batch: Batch) -> None:
    batch.texts += 1
    batch.characters += len(text.text)
    if text.is_guessed:
        batch.guessed.append(text.name)
    batch.skipped += (Skipped(text.name, note) for note in text.notes)
    document = Document.of(text.name, text.text)
    if document.long_lines:
        batch.skipped.append(Skipped(text.name, _long_lines(document)))
    batch.pieces += (_piece(document, window) for window in windows_of(document, _rules))


def _long_lines(document: Document) -> str:
    first, count = document.number_of(document.long_lines[0]), len(document.long_lines)
    lines = f"line {first}" if count == 1 else f"{count} lines, the first line {first},"
    return f"{lines} longer than {LONGEST_LINE} characters: the rest was scanned"


def _piece(document: Document, window: Window) -> CandidateSample:
    sample = _sample(document, window)
    fresh = set(window.fresh)
    return CandidateSample(
        json.loads(to_line(sample)),
        [_hash(secret.text.reveal()) for secret in sample.secrets],
        [number for number, finding in enumerate(window.secrets) if finding in fresh],
        sketch(_between(document.text, window.start, window.secrets, window.end)),
    )


def _sample(document: Document, window: Window) -> SensitiveSample:
    start, first = window.start, window.fresh[0]
    line = document.line_at(first.start)
    sample = make_sample(
        document.text[start : window.end],
        [(s.start - start, s.end - start, s.kind) for s in window.secrets],
        source=Source(document.path, document.number_of(line) if line else None),
    )
    secrets = tuple(
        dataclasses.replace(secret, extra={"confidence": finding.confidence})
        for secret, finding in zip(sample.secrets, window.secrets, strict=True)
    )
    return dataclasses.replace(sample, secrets=secrets)


def _between(text: str, start: int, findings: Sequence[Finding], end: int) -> Iterator[str]:
    for finding in findings:
        yield text[start : finding.start]
        start = finding.end
    yield text[start:end]


def _hash(secret: str) -> str:
    data = secret.encode(errors="surrogatepass")
    return hashlib.blake2b(data, key=id_key()[:64], digest_size=8).hexdigest()
