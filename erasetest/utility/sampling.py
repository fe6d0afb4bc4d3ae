"""How completions are drawn."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Prompting = Literal["aligned", "stripped", "whole"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How completions are drawn: the paper's values, but for the number of samples.

    Temperature 0 is greedy decoding. `prompt` is what the CLM reads of a prompt: "aligned" as much
    as is tokenized as in code that goes on (`aligned_prompt`), "stripped" without the white space
    at its end, "whole" as it stands.
    """

    samples: int = 20
    temperature: float = 0.2
    top_p: float = 0.95
    max_tokens: int = 256
    seed: int = 0
    prompt: Prompting = "aligned"

    def to_json(self) -> dict[str, Any]:
        """As it stands in reports."""
        return asdict(self)
