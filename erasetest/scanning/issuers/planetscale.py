"""Tokens, OAuth tokens and passwords of PlanetScale."""

from __future__ import annotations

import re

from erasetest.scanning.detect_secrets_parts import RegexBasedDetector
from erasetest.scanning.token_edges import LEFT, RIGHT


class PlanetScaleDetector(RegexBasedDetector):
    """Tokens, OAuth tokens and passwords of PlanetScale."""

    secret_type = "PlanetScale Token"
    denylist = (
        re.compile(rf"{LEFT}pscale_(?:tkn|oauth|pw)_[A-Za-z0-9_.=-]{{31,63}}[A-Za-z0-9_-]{RIGHT}"),
    )
