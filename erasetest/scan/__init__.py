"""Scanning a training corpus for secrets: texts in, sensitive samples out.

`scan_to` plans what there is to read (`sources`), has it scanned in several processes (`workers`,
`pieces`), keeps what came of it (`unfinished`, `corpus`) and writes the `manifest`. In a text the
lines that hold a detector's clue (`clues`, `prefilter`) are shown to it (`detect`, `detectors`:
one module a strategy), and what was found is cut into samples (`windows`).
"""

from erasetest.scan.corpus import scan_to
from erasetest.scan.detect import find_secrets
from erasetest.scan.detectors import Detector
from erasetest.scan.document import Document, Finding, Line
from erasetest.scan.pieces import Rules
from erasetest.scan.results import Scanned, ScanSettings
from erasetest.scan.sources import Columns
from erasetest.scan.walk import Skipped

__all__ = [
    "Columns",
    "Detector",
    "Document",
    "Finding",
    "Line",
    "Rules",
    "ScanSettings",
    "Scanned",
    "Skipped",
    "find_secrets",
    "scan_to",
]
