"""API keys of Postman."""

from __future__ import annotations

import re

from erasetest.scan.detect_secrets_parts import RegexBasedDetector


class PostmanDetector(RegexBasedDetector):
    """API keys of Postman."""

    secret_type = "Postman API Key"
    denylist = (re.compile(r"(?<![A-Za-z0-9_-])PMAK-[0-9a-f]{24}-[0-9a-f]{34}(?![A-Za-z0-9_-])"),)
