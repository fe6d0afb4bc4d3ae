"""Personal, OAuth and refresh tokens of DigitalOcean."""

from __future__ import annotations

import re

from erasetest.scan.detect_secrets_parts import RegexBasedDetector


class DigitalOceanDetector(RegexBasedDetector):
    """Personal, OAuth and refresh tokens of DigitalOcean."""

    secret_type = "DigitalOcean Token"
    denylist = (re.compile(r"(?<![A-Za-z0-9_-])do[por]_v1_[0-9a-f]{64}(?![A-Za-z0-9_-])"),)
