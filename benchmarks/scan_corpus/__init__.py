"""A labelled corpus of source code with planted secrets, and what a scan of it is worth.

`generate` writes the corpus, `found_in_manifest` reads what a scan wrote, `score` compares.
Nothing here knows the detectors: formats are those of issuers' documentation and of other public
scanners, so that a benchmark is a check on the detectors and not their echo.
"""

from .scoring import Negatives, Score, Scores, found_in_manifest, score
from .writing import generate

__all__ = ["Negatives", "Score", "Scores", "found_in_manifest", "generate", "score"]
