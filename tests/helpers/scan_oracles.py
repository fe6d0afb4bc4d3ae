"""Run detectors on prefiltered lines and on all lines."""

from __future__ import annotations

from collections.abc import Sequence

from erasetest.scanning.detectors import Detector
from erasetest.scanning.document import Document, Finding
from erasetest.scanning.heuristics import is_settings_file
from erasetest.scanning.prefilter import Prefilter, has_hyperscan


def findings(detectors: Sequence[Detector], path: str, text: str) -> list[Finding]:
    """Return the findings in prefiltered lines, which must be all findings."""
    document = Document.of(path, text)
    expected = [found for d in detectors for found in d.find(document, document.lines)]
    required = [detector.required_in(is_settings_file(path)) for detector in detectors]
    for hyperscan in {False, has_hyperscan()}:
        lines = Prefilter(required, hyperscan=hyperscan).lines(document)
        found = [
            finding
            for detector, seen in zip(detectors, lines, strict=True)
            for finding in detector.find(document, seen)
        ]
        assert found == expected
    return expected
