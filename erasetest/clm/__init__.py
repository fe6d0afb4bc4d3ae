"""The CLM under test: load it, encode code for it, score code with it, continue code with it."""

from erasetest.clm.branches import Branch, score_branches
from erasetest.clm.decode import Continuation, continuations
from erasetest.clm.encode import EncodedSample, EncodedSecret, encode
from erasetest.clm.load import Clm, LoadOptions, load_clm, wrap
from erasetest.clm.sampler import Sampler
from erasetest.clm.score import Scored, Target, score

__all__ = [
    "Branch",
    "Clm",
    "Continuation",
    "EncodedSample",
    "EncodedSecret",
    "LoadOptions",
    "Sampler",
    "Scored",
    "Target",
    "continuations",
    "encode",
    "load_clm",
    "score",
    "score_branches",
    "wrap",
]
