"""The CLM under test: load it, encode code for it, score code with it, continue code with it."""

from erasetest.clm.decode import Continuation, continuations
from erasetest.clm.encode import EncodedSample, EncodedSecret, encode
from erasetest.clm.load import Clm, LoadOptions, load_clm, wrap
from erasetest.clm.score import Scored, Target, score

__all__ = [
    "Clm",
    "Continuation",
    "EncodedSample",
    "EncodedSecret",
    "LoadOptions",
    "Scored",
    "Target",
    "continuations",
    "encode",
    "load_clm",
    "score",
    "wrap",
]
