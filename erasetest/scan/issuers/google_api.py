"""API keys of Google, Firebase and Gemini."""

from __future__ import annotations

import re

from erasetest.scan.detect_secrets_parts import RegexBasedDetector


class GoogleApiDetector(RegexBasedDetector):
    """API keys of Google, Firebase and Gemini."""

    secret_type = "Google API Key"
    denylist = (re.compile(r"(?<![A-Za-z0-9_-])AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"),)
