"""App-level and configuration tokens of Slack."""

from __future__ import annotations

import re

from erasetest.scanning.detect_secrets_parts import RegexBasedDetector
from erasetest.scanning.token_edges import LEFT, RIGHT


class SlackAppDetector(RegexBasedDetector):
    """App-level and configuration tokens of Slack."""

    secret_type = "Slack App Token"
    denylist = (
        re.compile(rf"{LEFT}xapp-[0-9]-[A-Z0-9]{{6,20}}-[0-9]{{6,20}}-[0-9a-z]{{40,99}}{RIGHT}"),
        re.compile(rf"{LEFT}xoxe(?:\.xox[bp])?-[0-9]-[A-Za-z0-9]{{140,170}}{RIGHT}"),
    )
