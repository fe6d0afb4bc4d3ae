"""User keys of New Relic."""

from __future__ import annotations

import re

from erasetest.scan.detect_secrets_parts import RegexBasedDetector


class NewRelicDetector(RegexBasedDetector):
    """User keys of New Relic."""

    secret_type = "New Relic API Key"
    denylist = (re.compile(r"(?<![A-Za-z0-9_-])NRAK-[A-Z0-9]{27}(?![A-Za-z0-9_-])"),)
