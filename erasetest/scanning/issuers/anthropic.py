"""Keys of Anthropic: `sk-ant-api03-…`, `sk-ant-admin01-…`."""

from __future__ import annotations

import re

from erasetest.scanning.detect_secrets_parts import RegexBasedDetector
from erasetest.scanning.token_edges import LEFT, RIGHT


class AnthropicDetector(RegexBasedDetector):
    """Keys of Anthropic: `sk-ant-api03-…`, `sk-ant-admin01-…`."""

    secret_type = "Anthropic API Key"
    denylist = (
        re.compile(
            rf"{LEFT}sk-ant-(?:api|admin|sid|oat)[0-9]{{2}}-[A-Za-z0-9_-]{{86,100}}AA{RIGHT}"
        ),
    )
