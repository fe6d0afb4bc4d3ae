"""Personal and service tokens of Doppler."""

from __future__ import annotations

import re

from erasetest.scanning.detect_secrets_parts import RegexBasedDetector
from erasetest.scanning.token_edges import LEFT, RIGHT


class DopplerDetector(RegexBasedDetector):
    """Personal and service tokens of Doppler."""

    secret_type = "Doppler Token"
    denylist = (
        re.compile(
            rf"{LEFT}dp\.(?:pt|ct|sa|scim|audit|st(?:\.[a-z0-9_-]{{2,35}})?)\.[A-Za-z0-9]{{40,44}}{RIGHT}"
        ),
    )
