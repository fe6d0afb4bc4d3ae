"""Secrets that a detect-secrets baseline file lists: known, and left out of a manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from erasetest.errors import BadInput
from erasetest.scanning.detect_secrets_findings import plugin_findings
from erasetest.scanning.document import Document, Finding


@dataclass(frozen=True, slots=True)
class Baseline:
    """For each file of a baseline, the SHA-1 of what its plugins found there.

    Entries that were audited as real secrets (`is_secret: true`) are none of them: those are what a
    CLM must not remember.
    """

    hashes: dict[str, frozenset[str]]

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """Read a baseline.

        Raises:
            BadInput: it cannot be read, or is none.
        """
        try:
            found = json.loads(path.read_text(encoding="utf-8-sig"))
            results: dict[str, list[dict[str, Any]]] = found["results"]
            return cls(
                {
                    name.replace("\\", "/"): frozenset(
                        str(entry["hashed_secret"])
                        for entry in entries
                        if entry.get("is_secret") is not True
                    )
                    for name, entries in results.items()
                }
            )
        except OSError as error:
            raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise BadInput(
                f"{path}: is no baseline: expected the JSON that `detect-secrets scan` writes"
            ) from None

    def left(self, document: Document, findings: Sequence[Finding]) -> list[Finding]:
        """The findings that are not listed for a file of this name.

        A baseline names files from the root of a repository; a file counts as one of them where its
        path ends so.
        """
        hashes = self._of(document.path)
        if not hashes or not findings:
            return list(findings)
        listed = _listed(document, hashes)
        return [
            finding
            for finding in findings
            if _sha1(document.text[finding.start : finding.end]) not in hashes
            and not any(start < finding.end and finding.start < end for start, end in listed)
        ]

    def _of(self, path: str) -> frozenset[str]:
        parts = path.split("/")
        tails = ("/".join(parts[start:]) for start in range(len(parts)))
        return next((self.hashes[tail] for tail in tails if tail in self.hashes), frozenset())


def _listed(document: Document, hashes: frozenset[str]) -> list[tuple[int, int]]:
    """The places of what detect-secrets itself finds and the baseline lists."""
    places = []
    for line, _, masked in plugin_findings(document):
        value = masked.reveal()
        if _sha1(value) in hashes:
            at = line.text.find(value)
            while at >= 0:
                places.append((line.start + at, line.start + at + len(value)))
                at = line.text.find(value, at + 1)
    return places


def _sha1(value: str) -> str:
    return hashlib.sha1(value.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()
