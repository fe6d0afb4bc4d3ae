"""API keys of Linear."""

from __future__ import annotations

import re

from erasetest.scan.detect_secrets_parts import RegexBasedDetector
from erasetest.scan.edges import LEFT, RIGHT


class LinearDetector(RegexBasedDetector):
    """API keys of Linear."""

    secret_type = "Linear API Key"
    denylist = (re.compile(rf"{LEFT}lin_api_[A-Za-z0-9]{{40}}{RIGHT}"),)
