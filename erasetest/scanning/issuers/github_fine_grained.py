"""GitHub's personal access tokens with permissions of their own."""

from __future__ import annotations

import re

from erasetest.scanning.detect_secrets_parts import RegexBasedDetector
from erasetest.scanning.token_edges import LEFT, RIGHT


class GitHubFineGrainedDetector(RegexBasedDetector):
    """GitHub's personal access tokens with permissions of their own."""

    secret_type = "GitHub Fine-grained Token"
    denylist = (re.compile(rf"{LEFT}github_pat_[A-Za-z0-9]{{22}}_[A-Za-z0-9]{{59}}{RIGHT}"),)
