"""What erasing minimizes, a file for each method, chosen by name."""

from dataclasses import replace

from erasetest.erasing.objectives.base import Groups, Method, Objective, Tokens, Weights
from erasetest.erasing.objectives.codeeraser import codeeraser, codeeraser_no_kl
from erasetest.erasing.objectives.constrained_unlearning import cu
from erasetest.erasing.objectives.decoy_matching import decoys
from erasetest.erasing.objectives.gradient_ascent import ga
from erasetest.erasing.objectives.npo import npo

_DECOYS = Method(decoys, decoys=True, retained=2, ends=True, rate=2.5, adapter_rate=16, slowest=0.3)

METHODS: dict[str, Method] = {
    "codeeraser": Method(codeeraser),
    "codeeraser-no-kl": Method(codeeraser_no_kl),
    "cu": Method(cu),
    "decoys": _DECOYS,
    "ga": Method(ga),
    "lasting": replace(_DECOYS, heals=True),
    "npo": Method(npo),
}
"""By name."""

__all__ = ["METHODS", "Groups", "Method", "Objective", "Tokens", "Weights"]
