"""`# pragma: allowlist secret`, and `allowlist nextline secret`, as detect-secrets reads them."""

from __future__ import annotations

from erasetest.scanning.detect_secrets_parts import CodeSnippet, allowlist
from erasetest.scanning.document import Document, Line


def is_allowlisted(document: Document, line: Line) -> bool:
    """Whether the line's own comment or the line before says that its secrets are known."""
    before = document.line_at(line.start - 1) if line.start else None
    previous = before.text if before else ""
    if "pragma" not in line.text and "pragma" not in previous:
        return False
    snippet = CodeSnippet([previous, line.text], start_line=0, target_index=1)
    return bool(allowlist.is_line_allowlisted(document.path, line.text, snippet))
