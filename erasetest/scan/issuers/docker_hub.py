"""Personal and organization access tokens of Docker Hub."""

from __future__ import annotations

import re

from erasetest.scan.detect_secrets_parts import RegexBasedDetector


class DockerHubDetector(RegexBasedDetector):
    """Personal and organization access tokens of Docker Hub."""

    secret_type = "Docker Hub Token"
    denylist = (
        re.compile(r"(?<![A-Za-z0-9_-])dckr_(?:pat|oat)_[A-Za-z0-9_-]{27,32}(?![A-Za-z0-9_-])"),
    )
