"""Personal and organization access tokens of Docker Hub."""

from __future__ import annotations

import re

from erasetest.scanning.detect_secrets_parts import RegexBasedDetector
from erasetest.scanning.token_edges import LEFT, RIGHT


class DockerHubDetector(RegexBasedDetector):
    """Personal and organization access tokens of Docker Hub."""

    secret_type = "Docker Hub Token"
    denylist = (re.compile(rf"{LEFT}dckr_(?:pat|oat)_[A-Za-z0-9_-]{{27,32}}{RIGHT}"),)
