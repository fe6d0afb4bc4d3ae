"""Keys of Cloudflare's origin CA."""

from __future__ import annotations

import re

from erasetest.scanning.detect_secrets_parts import RegexBasedDetector
from erasetest.scanning.token_edges import LEFT, RIGHT


class CloudflareOriginDetector(RegexBasedDetector):
    """Keys of Cloudflare's origin CA."""

    secret_type = "Cloudflare Origin CA Key"
    denylist = (re.compile(rf"{LEFT}v1\.0-[0-9a-f]{{24}}-[0-9a-f]{{146}}{RIGHT}"),)
