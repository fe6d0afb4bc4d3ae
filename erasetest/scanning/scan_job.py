"""Scans the texts of one job, in a worker process: candidate samples, and what was skipped."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from erasetest.samples import SensitiveSample, Source, as_row, make_sample
from erasetest.scanning.detection import find_secrets
from erasetest.scanning.document import CONFIDENCES, MAX_LINE_LENGTH, Document, Finding
from erasetest.scanning.near_duplicates import sketch
from erasetest.scanning.sample_windows import Window, split_into_windows
from erasetest.scanning.scan_settings import Rules
from erasetest.scanning.sources import Job, Text
from erasetest.scanning.walk import Skipped
from erasetest.support.atomic_files import id_key


@dataclass(frozen=True, slots=True)
class CandidateSample:
    """A sample before duplicates are removed, with keyed hashes to compare its secrets by.

    Attributes:
        row: the row of the manifest.
        hashes: a hash of each secret of the row.
        targets: indices of the secrets that the sample was cut for. The other secrets are in its
            context and are targets of earlier samples.
        sketch: sketch of the code without its secrets (`near_duplicates`).
    """

    row: dict[str, Any] = field(repr=False)
    hashes: list[str]
    targets: list[int]
    sketch: list[int] = field(repr=False)


@dataclass(slots=True)
class Batch:
    """The result of one job.

    Attributes:
        job: key of the job.
        texts: number of texts that were scanned.
        characters: number of characters in them.
        guessed: names of texts whose encoding was guessed.
        skipped: texts that were not scanned, or only in part, with the reasons.
        candidates: candidate samples in the order of the texts.
    """

    job: str
    texts: int = 0
    characters: int = 0
    guessed: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    candidates: list[CandidateSample] = field(default_factory=list, repr=False)

    def to_json(self) -> str:
        """Return the batch as one line of JSON."""
        row = {name: getattr(self, name) for name in self.__slots__}
        row["candidates"] = [
            {name: getattr(candidate, name) for name in candidate.__slots__}
            for candidate in self.candidates
        ]
        return json.dumps(row)

    def extend(self, other: Batch) -> None:
        """Append the result of another part of the same job."""
        self.texts += other.texts
        self.characters += other.characters
        self.guessed += other.guessed
        self.skipped += other.skipped
        self.candidates += other.candidates

    def without_code(self) -> Batch:
        """Return the batch with only the hashes and targets of its candidates."""
        candidates = [
            CandidateSample({}, candidate.hashes, candidate.targets, [])
            for candidate in self.candidates
        ]
        return dataclasses.replace(self, candidates=candidates)

    @classmethod
    def from_json(cls, line: str | bytes) -> Batch:
        """Return the batch of a line of JSON.

        Raises:
            ValueError, TypeError, KeyError: the line is not a batch.
        """
        row = json.loads(line)
        skipped = [Skipped(*given) for given in row.pop("skipped")]
        candidates = [CandidateSample(**given) for given in row.pop("candidates")]
        return cls(**row, skipped=skipped, candidates=candidates)


@dataclass(frozen=True, slots=True)
class SerializedBatch:
    """A batch as a line of JSON for the journal, and without code for counting."""

    line: str = field(repr=False)
    batch: Batch

    @classmethod
    def of(cls, batch: Batch) -> SerializedBatch:
        """Serialize a batch."""
        return cls(batch.to_json(), batch.without_code())


@dataclass(frozen=True, slots=True)
class JobScanner:
    """Scans jobs by the same rules; sent to each worker process once."""

    rules: Rules

    def __call__(self, job: Job) -> SerializedBatch:
        """Scan a job and serialize the result here, which unloads the parent process."""
        return SerializedBatch.of(self.scan(job))

    def scan(self, job: Job, first: int = 0, last: int | None = None) -> Batch:
        """Read and scan the texts of a job, or only those with indices in `[first, last)`."""
        batch = Batch(job.key)
        for text in islice(job.texts(), first, last):
            _add_text(text, batch, self.rules)
        return batch


def text_count(job: Job) -> int:
    """Return the number of texts of a job."""
    return sum(1 for _ in job.texts())


def text_name(job: Job, index: int) -> str:
    """Return the name of a text of a job."""
    text = next(islice(job.texts(), index, None), None)
    return job.name if text is None else text.path if isinstance(text, Skipped) else text.name


def windows_of(document: Document, rules: Rules) -> Iterator[Window]:
    """Yield the windows of a document that contain findings."""
    minimum = CONFIDENCES.index(rules.min_confidence)
    findings = [
        finding
        for finding in find_secrets(document)
        if CONFIDENCES.index(finding.confidence) >= minimum
    ]
    if rules.baseline is not None:
        findings = rules.baseline.unlisted(document, findings)
    return split_into_windows(document, findings)


def _add_text(text: Text | Skipped, batch: Batch, rules: Rules) -> None:
    if isinstance(text, Skipped):
        batch.skipped.append(text)
        return
    batch.texts += 1
    batch.characters += len(text.text)
    if text.is_guessed:
        batch.guessed.append(text.name)
    batch.skipped += (Skipped(text.name, note) for note in text.notes)
    document = Document.of(text.name, text.text)
    if document.long_lines:
        batch.skipped.append(Skipped(text.name, _long_lines(document)))
    batch.candidates += (_candidate(document, window) for window in windows_of(document, rules))


def _long_lines(document: Document) -> str:
    first, count = document.number_of(document.long_lines[0]), len(document.long_lines)
    lines = f"line {first}" if count == 1 else f"{count} lines, the first line {first},"
    return f"{lines} longer than {MAX_LINE_LENGTH} characters: the rest was scanned"


def _candidate(document: Document, window: Window) -> CandidateSample:
    sample = _sample(document, window)
    targets = set(window.targets)
    return CandidateSample(
        as_row(sample),
        [_hash(secret.text.reveal()) for secret in sample.secrets],
        [index for index, finding in enumerate(window.secrets) if finding in targets],
        sketch(_between(document.text, window.start, window.secrets, window.end)),
    )


def _sample(document: Document, window: Window) -> SensitiveSample:
    start, first = window.start, window.targets[0]
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
