"""Where a token may begin and end in code, so that no longer word is cut up."""

from __future__ import annotations

LEFT = r"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2}))"
"""No part of a word before it; an escape (`\\n`, `%3D`) is none."""

RIGHT = r"(?![A-Za-z0-9_-])"
"""No part of a word after it."""
