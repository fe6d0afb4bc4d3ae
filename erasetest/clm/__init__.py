"""The CLM under test: load it, encode code for it, score code with it, continue code with it.

Names and options can be checked without torch; everything else imports it on first use.
"""

from typing import TYPE_CHECKING

from erasetest.support.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from erasetest.clm.decoding import Continuation, continuations
    from erasetest.clm.encoding import EncodedSample, EncodedSecret, encode
    from erasetest.clm.load import load_clm
    from erasetest.clm.load_options import LoadOptions
    from erasetest.clm.model import Clm
    from erasetest.clm.prefix_scoring import Branch, score_branches
    from erasetest.clm.sampler import Sampler
    from erasetest.clm.teacher_forcing import Scored, Target, score

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
]

__getattr__ = lazy_exports(
    __name__,
    {
        "Continuation": "decoding",
        "continuations": "decoding",
        "EncodedSample": "encoding",
        "EncodedSecret": "encoding",
        "encode": "encoding",
        "Clm": "model",
        "LoadOptions": "load_options",
        "load_clm": "load",
        "Branch": "prefix_scoring",
        "score_branches": "prefix_scoring",
        "Sampler": "sampler",
        "Scored": "teacher_forcing",
        "Target": "teacher_forcing",
        "score": "teacher_forcing",
    },
)
