"""API keys of Linear."""

from __future__ import annotations

import re

from erasetest.scanning.detect_secrets_parts import RegexBasedDetector
from erasetest.scanning.token_edges import LEFT, RIGHT


class LinearDetector(RegexBasedDetector):
    """API keys of Linear."""

    secret_type = "Linear API Key"
    denylist = (re.compile(rf"{LEFT}lin_api_[A-Za-z0-9]{{40}}{RIGHT}"),)
