"""GitHub's personal access tokens with permissions of their own."""

from __future__ import annotations

import re

from erasetest.scan.detect_secrets_parts import RegexBasedDetector


class GitHubFineGrainedDetector(RegexBasedDetector):
    """GitHub's personal access tokens with permissions of their own."""

    secret_type = "GitHub Fine-grained Token"
    denylist = (
        re.compile(
            r"(?<![A-Za-z0-9_-])github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}(?![A-Za-z0-9_-])"
        ),
    )
