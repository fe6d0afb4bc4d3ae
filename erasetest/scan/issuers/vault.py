"""Service, batch and recovery tokens of HashiCorp Vault."""

from __future__ import annotations

import re

from erasetest.scan.detect_secrets_parts import RegexBasedDetector


class VaultDetector(RegexBasedDetector):
    """Service, batch and recovery tokens of HashiCorp Vault."""

    secret_type = "Vault Token"
    denylist = (re.compile(r"(?<![A-Za-z0-9_-])hv[sbr]\.[A-Za-z0-9_-]{24,300}(?![A-Za-z0-9_-])"),)
