"""Personal access tokens of Databricks."""

from __future__ import annotations

import re

from erasetest.scanning.detect_secrets_parts import RegexBasedDetector
from erasetest.scanning.token_edges import LEFT, RIGHT


class DatabricksDetector(RegexBasedDetector):
    """Personal access tokens of Databricks."""

    secret_type = "Databricks Token"
    denylist = (re.compile(rf"{LEFT}dapi[0-9a-f]{{32}}(?:-[0-9]{{1,2}})?{RIGHT}"),)
