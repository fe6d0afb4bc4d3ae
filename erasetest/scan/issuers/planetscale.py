"""Tokens, OAuth tokens and passwords of PlanetScale."""

from __future__ import annotations

import re

from erasetest.scan.detect_secrets_parts import RegexBasedDetector


class PlanetScaleDetector(RegexBasedDetector):
    """Tokens, OAuth tokens and passwords of PlanetScale."""

    secret_type = "PlanetScale Token"
    denylist = (
        re.compile(
            r"(?<![A-Za-z0-9_-])pscale_(?:tkn|oauth|pw)_[A-Za-z0-9_.=-]{32,64}(?![A-Za-z0-9_-])"
        ),
    )
