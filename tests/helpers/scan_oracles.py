"""Detectors run as they are meant, and by definition."""

from __future__ import annotations

from collections.abc import Sequence

from erasetest.scanning.detectors import Detector
from erasetest.scanning.document import Document, Finding
from erasetest.scanning.heuristics import is_settings_file
from erasetest.scanning.prefilter import Prefilter, has_hyperscan


def findings(detectors: Sequence[Detector], path: str, text: str) -> list[Finding]:
    """What they find in the lines that hold their clues, which must be all that they find."""
    document = Document.of(path, text)
    all_of_it = [found for d in detectors for found in d.find(document, document.lines)]
    settings = is_settings_file(path)
    clues = [(settings and d.clue_in_settings) or d.clue for d in detectors]
    for hyperscan in {False, has_hyperscan()}:
        lines = Prefilter(clues, hyperscan=hyperscan).lines(document)
        found = [
            finding
            for detector, seen in zip(detectors, lines, strict=True)
            for finding in detector.find(document, seen)
        ]
        assert found == all_of_it
    return all_of_it
