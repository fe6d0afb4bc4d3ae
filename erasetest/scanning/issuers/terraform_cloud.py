"""Tokens of Terraform Cloud."""

from __future__ import annotations

import re

from erasetest.scanning.detect_secrets_parts import RegexBasedDetector
from erasetest.scanning.token_edges import LEFT, RIGHT


class TerraformCloudDetector(RegexBasedDetector):
    """Tokens of Terraform Cloud."""

    secret_type = "Terraform Cloud Token"
    denylist = (re.compile(rf"{LEFT}[A-Za-z0-9]{{14}}\.atlasv1\.[A-Za-z0-9_=-]{{60,70}}{RIGHT}"),)
