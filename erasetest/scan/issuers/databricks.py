"""Personal access tokens of Databricks."""

from __future__ import annotations

import re

from erasetest.scan.detect_secrets_parts import RegexBasedDetector


class DatabricksDetector(RegexBasedDetector):
    """Personal access tokens of Databricks."""

    secret_type = "Databricks Token"
    denylist = (re.compile(r"(?<![A-Za-z0-9_-])dapi[0-9a-f]{32}(?:-[0-9]{1,2})?(?![A-Za-z0-9_-])"),)
