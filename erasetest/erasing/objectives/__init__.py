"""The objectives that erasing minimizes, one file per method, chosen by name."""

from dataclasses import replace

from erasetest.erasing.objectives.base import Groups, Method, Objective, Tokens, Weights
from erasetest.erasing.objectives.codeeraser import codeeraser, codeeraser_no_kl
from erasetest.erasing.objectives.constrained_unlearning import cu
from erasetest.erasing.objectives.decoy_matching import decoys
from erasetest.erasing.objectives.gradient_ascent import ga
from erasetest.erasing.objectives.npo import npo

_DECOYS = Method(
    decoys,
    uses_decoys=True,
    retained_factor=2,
    appends_eos=True,
    lr_factor=2.5,
    adapter_lr_factor=16,
    min_lr_share=0.3,
)

METHODS: dict[str, Method] = {
    "codeeraser": Method(codeeraser),
    "codeeraser-no-kl": Method(codeeraser_no_kl),
    "cu": Method(cu),
    "decoys": _DECOYS,
    "ga": Method(ga),
    "lasting": replace(_DECOYS, distills=True),
    "npo": Method(npo),
}
"""The methods by their user-facing names."""

__all__ = ["METHODS", "Groups", "Method", "Objective", "Tokens", "Weights"]
