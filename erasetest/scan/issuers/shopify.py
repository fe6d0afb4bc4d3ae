"""Access tokens and shared secrets of Shopify."""

from __future__ import annotations

import re

from erasetest.scan.detect_secrets_parts import RegexBasedDetector


class ShopifyDetector(RegexBasedDetector):
    """Access tokens and shared secrets of Shopify."""

    secret_type = "Shopify Token"
    denylist = (
        re.compile(r"(?<![A-Za-z0-9_-])shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}(?![A-Za-z0-9_-])"),
    )
