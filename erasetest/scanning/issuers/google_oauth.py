"""Client secrets of Google OAuth."""

from __future__ import annotations

import re

from erasetest.scanning.detect_secrets_parts import RegexBasedDetector
from erasetest.scanning.token_edges import LEFT, RIGHT


class GoogleOAuthDetector(RegexBasedDetector):
    """Client secrets of Google OAuth."""

    secret_type = "Google OAuth Client Secret"
    denylist = (re.compile(rf"{LEFT}GOCSPX-[A-Za-z0-9_-]{{28}}{RIGHT}"),)
