"""Client secrets of Azure AD (Entra ID): three signs, a digit, `Q~`."""

from __future__ import annotations

import re

from erasetest.scan.detect_secrets_parts import RegexBasedDetector


class AzureAdDetector(RegexBasedDetector):
    """Client secrets of Azure AD (Entra ID): three signs, a digit, `Q~`."""

    secret_type = "Azure AD Client Secret"
    denylist = (
        re.compile(
            r"(?<![A-Za-z0-9_~.-])[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}(?![A-Za-z0-9_~.-])"
        ),
    )
