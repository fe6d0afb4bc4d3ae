"""Scanning a training corpus for secrets: texts in, sensitive samples out.

`scan_to` plans what there is to read (`sources`), has it scanned in several processes (`workers`,
`pieces`), keeps what came of it (`unfinished`, `corpus`) and writes the `manifest`. In a text the
lines that hold a detector's clue (`clues`, `prefilter`) are shown to it (`detect`, `detectors`:
one module a strategy), and what was found is cut into samples (`windows`).
"""

from erasetest.scanning.corpus_scan import scan_to
from erasetest.scanning.detection import find_secrets
from erasetest.scanning.detectors import Detector
from erasetest.scanning.document import Document, Finding, Line
from erasetest.scanning.scan_job import Rules
from erasetest.scanning.scan_settings import ScanSettings, ScanSummary
from erasetest.scanning.sources import Columns
from erasetest.scanning.walk import Skipped

__all__ = [
    "Columns",
    "Detector",
    "Document",
    "Finding",
    "Line",
    "Rules",
    "ScanSettings",
    "ScanSummary",
    "Skipped",
    "find_secrets",
    "scan_to",
]
