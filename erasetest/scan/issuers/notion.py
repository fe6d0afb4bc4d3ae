"""Tokens of Notion integrations."""

from __future__ import annotations

import re

from erasetest.scan.detect_secrets_parts import RegexBasedDetector


class NotionDetector(RegexBasedDetector):
    """Tokens of Notion integrations."""

    secret_type = "Notion Token"
    denylist = (re.compile(r"(?<![A-Za-z0-9_-])ntn_[0-9]{11}[A-Za-z0-9]{35}(?![A-Za-z0-9_-])"),)
