"""User and organization tokens of Hugging Face."""

from __future__ import annotations

import re

from erasetest.scanning.detect_secrets_parts import RegexBasedDetector
from erasetest.scanning.token_edges import LEFT, RIGHT


class HuggingFaceDetector(RegexBasedDetector):
    """User and organization tokens of Hugging Face."""

    secret_type = "HuggingFace Token"
    denylist = (re.compile(rf"{LEFT}(?:hf_|api_org_)[A-Za-z0-9]{{34}}{RIGHT}"),)
