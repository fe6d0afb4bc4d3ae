"""API keys of Linear."""

from __future__ import annotations

import re

from erasetest.scan.detect_secrets_parts import RegexBasedDetector


class LinearDetector(RegexBasedDetector):
    """API keys of Linear."""

    secret_type = "Linear API Key"
    denylist = (re.compile(r"(?<![A-Za-z0-9_-])lin_api_[A-Za-z0-9]{40}(?![A-Za-z0-9_-])"),)
