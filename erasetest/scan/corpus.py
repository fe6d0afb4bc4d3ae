"""From paths to sensitive samples."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from erasetest.samples import SensitiveSample, Source, make_sample
from erasetest.scan.detect import find_secrets
from erasetest.scan.document import LONGEST_LINE, Document
from erasetest.scan.reading import Unreadable, read
from erasetest.scan.walk import Skipped, list_files, shown
from erasetest.scan.windows import Window, cut

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class ScanResult:
    """What a scan found, and what it did not look at.

    Attributes:
        samples: one for each file or window with secrets; ids are unique.
        counts: places where a secret stands, by kind. A place in two windows counts once, and those
            of duplicates do not count.
        files: files scanned.
        skipped: what was not scanned, or not wholly, and why.
        latin1: scanned files that were read as Latin-1, being neither UTF-8 nor marked UTF-16.
        duplicates: pieces left out because the same content with the same secrets is a sample.
    """

    samples: list[SensitiveSample] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    files: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    latin1: list[str] = field(default_factory=list)
    duplicates: int = 0
    _spans: dict[str, list[frozenset[tuple[int, int, str]]]] = field(
        default_factory=dict, repr=False
    )

    def add(self, document: Document, window: Window) -> None:
        """Make a sample of a window of a document, unless it is one already."""
        sample = _sample(document, window)
        spans = frozenset((s.start, s.end, s.kind) for s in sample.secrets)
        known = self._spans.setdefault(sample.id, [])
        if spans in known:
            self.duplicates += 1
            return
        known.append(spans)
        if len(known) > 1:
            # The same content under a name of another language can hold other secrets.
            sample = dataclasses.replace(sample, id=f"{sample.id}-{len(known)}")
        self.samples.append(sample)
        self.counts.update(secret.kind for secret in window.fresh)


def scan_paths(paths: Sequence[Path], *, progress: Progress | None = None) -> ScanResult:
    """Scan files and folders for secrets, each file once, in a fixed order.

    Folders of version control, `node_modules`, `.venv` and `__pycache__` are left out, symbolic
    links in folders are not followed, and nothing is sent anywhere.

    Args:
        paths: files or folders.
        progress: called with the files done and the files in all, after each one.

    Raises:
        BadInput: a path does not exist.
    """
    files, skipped = list_files(paths)
    result = ScanResult(skipped=skipped)
    for number, path in enumerate(files, 1):
        _scan_file(path, result)
        if progress is not None:
            progress(number, len(files))
    result.skipped.sort()
    return result


def _scan_file(path: Path, result: ScanResult) -> None:
    name = shown(path)
    try:
        read_text = read(path)
    except Unreadable as reason:
        result.skipped.append(Skipped(name, str(reason)))
        return
    result.files += 1
    if read_text.is_latin1:
        result.latin1.append(name)
    document = Document.of(name, read_text.text)
    if document.long_lines:
        result.skipped.append(Skipped(name, _long_lines(document)))
    for window in cut(document, find_secrets(document)):
        result.add(document, window)


def _long_lines(document: Document) -> str:
    first, count = document.number_of(document.long_lines[0]), len(document.long_lines)
    lines = f"line {first}" if count == 1 else f"{count} lines, the first line {first},"
    return f"{lines} longer than {LONGEST_LINE} characters: the rest was scanned"


def _sample(document: Document, window: Window) -> SensitiveSample:
    start, first = window.start, window.fresh[0]
    line = document.line_at(first.start)
    return make_sample(
        document.text[start : window.end],
        [(s.start - start, s.end - start, s.kind) for s in window.secrets],
        source=Source(document.path, document.number_of(line) if line else None),
    )
