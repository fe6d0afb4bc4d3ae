"""A labelled corpus of source code with planted secrets, and scores of a scan of it.

`generate` writes the corpus, `found_in_manifest` reads the findings of a scan, `score` compares
them with the labels. Nothing here depends on the detectors: formats come from issuers'
documentation and other public scanners, so that the benchmark is an independent check.
"""

from .scoring import Negatives, Score, Scores, found_in_manifest, score
from .writing import generate

__all__ = ["Negatives", "Score", "Scores", "found_in_manifest", "generate", "score"]
