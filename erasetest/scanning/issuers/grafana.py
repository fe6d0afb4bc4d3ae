"""Service account and cloud tokens of Grafana."""

from __future__ import annotations

import re

from erasetest.scanning.detect_secrets_parts import RegexBasedDetector
from erasetest.scanning.token_edges import LEFT, RIGHT


class GrafanaDetector(RegexBasedDetector):
    """Service account and cloud tokens of Grafana."""

    secret_type = "Grafana Token"
    denylist = (
        re.compile(rf"{LEFT}glsa_[A-Za-z0-9]{{32}}_[0-9a-fA-F]{{8}}{RIGHT}"),
        re.compile(rf"{LEFT}glc_eyJ[A-Za-z0-9+/]{{32,400}}={{0,2}}(?![A-Za-z0-9+/=_-])"),
    )
