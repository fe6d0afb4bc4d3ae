"""Service, batch and recovery tokens of HashiCorp Vault."""

from __future__ import annotations

import re

from erasetest.scanning.detect_secrets_parts import RegexBasedDetector
from erasetest.scanning.token_edges import LEFT, RIGHT


class VaultDetector(RegexBasedDetector):
    """Service, batch and recovery tokens of HashiCorp Vault."""

    secret_type = "Vault Token"
    denylist = (
        re.compile(
            rf"{LEFT}(?:hvs\.(?:[A-Za-z0-9]{{24}}|[A-Za-z0-9_-]{{90,120}})"
            rf"|hv[br]\.[A-Za-z0-9_-]{{138,300}}){RIGHT}"
        ),
    )
