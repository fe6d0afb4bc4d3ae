"""Keys of OpenAI projects, service accounts and administrators."""

from __future__ import annotations

import re

from erasetest.scanning.detect_secrets_parts import RegexBasedDetector
from erasetest.scanning.token_edges import LEFT, RIGHT


class OpenAiProjectDetector(RegexBasedDetector):
    """Keys of OpenAI projects, service accounts and administrators."""

    secret_type = "OpenAI Project Key"
    denylist = (
        re.compile(
            rf"{LEFT}sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{{20,74}}T3BlbkFJ[A-Za-z0-9_-]{{20,74}}{RIGHT}"
        ),
    )
