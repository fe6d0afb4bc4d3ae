"""Baseline files of detect-secrets: secrets that they list are left out of a manifest."""

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
    """For each file of a baseline, the SHA-1 hashes of the secrets that it lists.

    Entries that were audited as real secrets (`is_secret: true`) are left out: those are what a
    CLM must not remember.
    """

    hashes: dict[str, frozenset[str]]

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """Read a baseline.

        Raises:
            BadInput: the file cannot be read or is not a baseline.
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
                f"{path}: is not a baseline: expected the JSON that `detect-secrets scan` writes"
            ) from None

    def unlisted(self, document: Document, findings: Sequence[Finding]) -> list[Finding]:
        """Return the findings that the baseline does not list for the document's file.

        A baseline names files relative to the root of a repository, so a file matches an entry if
        its path ends with that name.
        """
        hashes = self._hashes_of(document.path)
        if not hashes or not findings:
            return list(findings)
        listed = _listed_spans(document, hashes)
        return [
            finding
            for finding in findings
            if _sha1(document.text[finding.start : finding.end]) not in hashes
            and not any(start < finding.end and finding.start < end for start, end in listed)
        ]

    def _hashes_of(self, path: str) -> frozenset[str]:
        parts = path.split("/")
        tails = ("/".join(parts[start:]) for start in range(len(parts)))
        return next((self.hashes[tail] for tail in tails if tail in self.hashes), frozenset())


def _listed_spans(document: Document, hashes: frozenset[str]) -> list[tuple[int, int]]:
    """Return the spans of what detect-secrets itself finds and the baseline lists.

    Our findings are compared by span too, since detect-secrets often hashes only a part of a
    secret.
    """
    spans = []
    for line, _, masked in plugin_findings(document):
        value = masked.reveal()
        if _sha1(value) in hashes:
            at = line.text.find(value)
            while at >= 0:
                spans.append((line.start + at, line.start + at + len(value)))
                at = line.text.find(value, at + 1)
    return spans


def _sha1(value: str) -> str:
    return hashlib.sha1(value.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()
