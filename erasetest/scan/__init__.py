"""Scanning a training corpus for secrets: files in, sensitive samples out.

`scan_paths` reads files (`walk`, `reading`), asks every detector (`detect`: one module a strategy,
the most specific first), and cuts what they found into samples (`windows`). A detector is a
function from a `Document` to findings; adding one means adding a module and a line in `detect`.
"""

from erasetest.scan.corpus import ScanResult, scan_paths
from erasetest.scan.detect import find_secrets
from erasetest.scan.document import Document, Finding, Line
from erasetest.scan.walk import Skipped

__all__ = [
    "Document",
    "Finding",
    "Line",
    "ScanResult",
    "Skipped",
    "find_secrets",
    "scan_paths",
]
