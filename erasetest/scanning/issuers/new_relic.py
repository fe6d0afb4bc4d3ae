"""User keys of New Relic."""

from __future__ import annotations

import re

from erasetest.scanning.detect_secrets_parts import RegexBasedDetector
from erasetest.scanning.token_edges import LEFT, RIGHT


class NewRelicDetector(RegexBasedDetector):
    """User keys of New Relic."""

    secret_type = "New Relic API Key"
    denylist = (re.compile(rf"{LEFT}NRAK-[A-Z0-9]{{27}}{RIGHT}"),)
