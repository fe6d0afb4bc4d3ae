"""What erasing minimizes, a file for each method, chosen by name."""

from dataclasses import replace

from erasetest.erase.objectives.base import Groups, Method, Objective, Tokens, Weights
from erasetest.erase.objectives.codeeraser import codeeraser, codeeraser_no_kl
from erasetest.erase.objectives.cu import cu
from erasetest.erase.objectives.decoys import decoys
from erasetest.erase.objectives.ga import ga
from erasetest.erase.objectives.npo import npo

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
