"""API keys of Google, Firebase and Gemini."""

from __future__ import annotations

import re

from erasetest.scanning.detect_secrets_parts import RegexBasedDetector
from erasetest.scanning.token_edges import LEFT, RIGHT


class GoogleApiDetector(RegexBasedDetector):
    """API keys of Google, Firebase and Gemini."""

    secret_type = "Google API Key"
    denylist = (re.compile(rf"{LEFT}AIza[A-Za-z0-9_-]{{35}}{RIGHT}"),)
