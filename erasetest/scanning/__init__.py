"""Scans a training corpus for secrets: texts in, sensitive samples out.

`scan_to` (`corpus_scan`) plans the jobs of a corpus (`sources`), scans them in several processes
(`worker_pool`, `scan_job`), saves each result (`scan_journal`) and writes the manifest
(`sample_writer`). In each text, only lines that contain the required literals of a detector
(`required_literals`, `prefilter`) are passed to it (`detection`; `detectors`, one module per
strategy). The findings are cut into samples (`sample_windows`).
"""

from erasetest.scanning.corpus_scan import scan_to
from erasetest.scanning.detection import find_secrets
from erasetest.scanning.detectors import Detector
from erasetest.scanning.document import Document, Finding, Line
from erasetest.scanning.scan_settings import Rules, ScanSettings
from erasetest.scanning.scan_summary import ScanSummary
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
