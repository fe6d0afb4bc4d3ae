"""Settings of the sampling of completions."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from erasetest.errors import BadInput
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

    def __post_init__(self) -> None:
        """Refuse values that no sampling can have.

        Raises:
            BadInput: naming the value.
        """
        for name, minimum in (("samples", 1), ("max_tokens", 1), ("temperature", 0)):
            if not minimum <= getattr(self, name) < math.inf:
                raise BadInput(f"{name} must be {minimum} or more, got {getattr(self, name)}")
        if not 0 < self.top_p <= 1:
            raise BadInput(f"top_p must be above 0 and at most 1, got {self.top_p:g}")

    def as_dict(self) -> dict[str, Any]:
        """Return plain builtins, as in reports."""
        return asdict(self)
