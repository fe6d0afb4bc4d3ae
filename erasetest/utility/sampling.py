"""Settings of the sampling of completions."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from erasetest.support.option_fields import option

Prompting = Literal["aligned", "stripped", "whole"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """Settings of the sampling: the values of the paper, except for the number of samples.

    `prompt` is the part of a prompt that the CLM reads: "aligned" up to the last token boundary
    that also exists when code follows (`aligned_prompt`), "stripped" without the white space at its
    end, "whole" unchanged.
    """

    samples: int = option("Completions per problem.", 20, metavar="N", minimum=1)
    temperature: float = option("Sampling temperature; 0 is greedy decoding.", 0.2, minimum=0)
    top_p: float = option("Probability mass that nucleus sampling keeps.", 0.95)
    max_tokens: int = option("Maximum number of tokens of a completion.", 256, minimum=1)
    seed: int = option("Seed of the sampling.", 0)
    prompt: Prompting = option("How a prompt that ends in white space is read.", "aligned")

    def as_dict(self) -> dict[str, Any]:
        """Return plain builtins, as in reports."""
        return asdict(self)
