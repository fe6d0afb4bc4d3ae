"""Client secrets of Azure AD (Entra ID): three signs, a digit, `Q~`."""

from __future__ import annotations

import re

from erasetest.scanning.detect_secrets_parts import RegexBasedDetector

_SIGN = "[A-Za-z0-9_~.-]"
_LEFT = rf"(?:(?<!{_SIGN})|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{{2}}))"


class AzureAdDetector(RegexBasedDetector):
    """Client secrets of Azure AD (Entra ID): three signs, a digit, `Q~`."""

    secret_type = "Azure AD Client Secret"
    denylist = (
        re.compile(
            rf"{_LEFT}{_SIGN}{{3}}[0-9]Q~{_SIGN}{{30,33}}[A-Za-z0-9_~-]"
            r"(?![A-Za-z0-9_~-]|\.[A-Za-z0-9_~-])"
        ),
    )
