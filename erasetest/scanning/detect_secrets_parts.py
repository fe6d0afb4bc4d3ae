"""The parts of detect-secrets that the detectors use: its patterns and its heuristics.

They are called directly, on lines. detect-secrets' own scan is not used, because
- its settings are global to the process, and other code may have changed them;
- it can verify secrets by requests to live services (only `analyze_line` does, which is never
  called here);
- it opens files in the locale's encoding and silently skips files that it cannot decode;
- it reports texts instead of spans, and for several formats only a part of the secret (the `ghp` of
  a GitHub token, a JSON Web Token without its signature).
"""

from __future__ import annotations

import logging
import warnings

_shown = warnings.showwarning
# Importing detect-secrets calls logging.captureWarnings(True) for the whole process; this is undone
# below.
from detect_secrets.core.plugins.util import (  # noqa: E402
    get_mapping_from_secret_type_to_class,
)
from detect_secrets.filters import allowlist, heuristic  # noqa: E402
from detect_secrets.plugins.base import BasePlugin, RegexBasedDetector  # noqa: E402
from detect_secrets.plugins.basic_auth import BasicAuthDetector  # noqa: E402
from detect_secrets.plugins.high_entropy_strings import (  # noqa: E402
    Base64HighEntropyString,
    HexHighEntropyString,
    HighEntropyStringsPlugin,
)
from detect_secrets.plugins.jwt import JwtTokenDetector  # noqa: E402
from detect_secrets.plugins.keyword import (  # noqa: E402
    DENYLIST_REGEX,
    QUOTES_REQUIRED_DENYLIST_REGEX_TO_GROUP,
    REGEX_BY_FILETYPE,
    KeywordDetector,
)
from detect_secrets.util.code_snippet import CodeSnippet  # noqa: E402
from detect_secrets.util.filetype import FileType, determine_file_type  # noqa: E402

if warnings.showwarning is not _shown:
    logging.captureWarnings(False)

__all__ = [
    "DENYLIST_REGEX",
    "QUOTES_REQUIRED_DENYLIST_REGEX_TO_GROUP",
    "REGEX_BY_FILETYPE",
    "Base64HighEntropyString",
    "BasePlugin",
    "BasicAuthDetector",
    "CodeSnippet",
    "FileType",
    "HexHighEntropyString",
    "HighEntropyStringsPlugin",
    "JwtTokenDetector",
    "KeywordDetector",
    "RegexBasedDetector",
    "allowlist",
    "determine_file_type",
    "get_mapping_from_secret_type_to_class",
    "heuristic",
]
