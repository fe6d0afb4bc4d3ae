"""Access tokens of npm, wherever they stand."""

from __future__ import annotations

import re

from erasetest.scan.detect_secrets_parts import RegexBasedDetector


class NpmDetector(RegexBasedDetector):
    """Access tokens of npm, wherever they stand."""

    secret_type = "NPM Token"
    denylist = (re.compile(r"(?<![A-Za-z0-9_-])npm_[A-Za-z0-9]{36}(?![A-Za-z0-9_-])"),)
