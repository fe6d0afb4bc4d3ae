"""Access tokens of npm, wherever they stand."""

from __future__ import annotations

import re

from erasetest.scanning.detect_secrets_parts import RegexBasedDetector
from erasetest.scanning.token_edges import LEFT, RIGHT


class NpmDetector(RegexBasedDetector):
    """Access tokens of npm, wherever they stand."""

    secret_type = "NPM Token"
    denylist = (re.compile(rf"{LEFT}npm_[A-Za-z0-9]{{36}}{RIGHT}"),)
