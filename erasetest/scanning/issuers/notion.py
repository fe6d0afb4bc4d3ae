"""Tokens of Notion integrations."""

from __future__ import annotations

import re

from erasetest.scanning.detect_secrets_parts import RegexBasedDetector
from erasetest.scanning.token_edges import LEFT, RIGHT


class NotionDetector(RegexBasedDetector):
    """Tokens of Notion integrations."""

    secret_type = "Notion Token"
    denylist = (re.compile(rf"{LEFT}ntn_[0-9]{{11}}[A-Za-z0-9]{{35}}{RIGHT}"),)
