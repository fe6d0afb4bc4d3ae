"""User and organization tokens of Hugging Face."""

from __future__ import annotations

import re

from erasetest.scan.detect_secrets_parts import RegexBasedDetector


class HuggingFaceDetector(RegexBasedDetector):
    """User and organization tokens of Hugging Face."""

    secret_type = "HuggingFace Token"
    denylist = (re.compile(r"(?<![A-Za-z0-9_-])(?:hf_|api_org_)[A-Za-z0-9]{34}(?![A-Za-z0-9_-])"),)
