"""Personal, OAuth and refresh tokens of DigitalOcean."""

from __future__ import annotations

import re

from erasetest.scanning.detect_secrets_parts import RegexBasedDetector
from erasetest.scanning.token_edges import LEFT, RIGHT


class DigitalOceanDetector(RegexBasedDetector):
    """Personal, OAuth and refresh tokens of DigitalOcean."""

    secret_type = "DigitalOcean Token"
    denylist = (re.compile(rf"{LEFT}do[por]_v1_[0-9a-f]{{64}}{RIGHT}"),)
