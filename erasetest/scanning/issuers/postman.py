"""API keys of Postman."""

from __future__ import annotations

import re

from erasetest.scanning.detect_secrets_parts import RegexBasedDetector
from erasetest.scanning.token_edges import LEFT, RIGHT


class PostmanDetector(RegexBasedDetector):
    """API keys of Postman."""

    secret_type = "Postman API Key"
    denylist = (re.compile(rf"{LEFT}PMAK-[0-9a-f]{{24}}-[0-9a-f]{{34}}{RIGHT}"),)
