"""Access tokens and shared secrets of Shopify."""

from __future__ import annotations

import re

from erasetest.scanning.detect_secrets_parts import RegexBasedDetector
from erasetest.scanning.token_edges import LEFT, RIGHT


class ShopifyDetector(RegexBasedDetector):
    """Access tokens and shared secrets of Shopify."""

    secret_type = "Shopify Token"
    denylist = (re.compile(rf"{LEFT}shp(?:at|ca|pa|ss)_[0-9a-fA-F]{{32}}{RIGHT}"),)
