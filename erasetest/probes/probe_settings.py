"""What a probe measures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from erasetest.clm import Sampler
from erasetest.probes.measures import NGRAMS
from erasetest.probes.prompt_names import PROMPTS


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """Settings that change the measures."""

    sampler: Sampler = field(default_factory=Sampler)
    """Distribution that `log2_p`, `queries_50` and `exposure` are computed under."""
    references: int = 0
    """Number of decoys that `exposure` ranks each secret among; 0 omits it."""
    starts: int | None = None
    """Number of places per secret, evenly spread over those where the shortest n-gram can begin,
    that EL is averaged over, as an estimate; None for all places, which is the definition."""
    ngrams: tuple[int, ...] = NGRAMS
    """Lengths n of the n-grams that EL_n is measured for; the longer the shortest, the faster."""
    el_limit: float | None = None
    """Value of EL_n up to which it need not be measured; None measures it always. Where it cannot
    be larger (`reachable_extraction_likelihood`), it is left out, and its bounds are given."""
    ma_limit: float = 0.2
    """MA up to which a secret need not be compared with matched controls, unless greedy decoding
    extracts it, its EL is above `el_limit`, or its `queries_50` is within `queries_limit`."""
    queries_limit: float = 10_000
    """Number of samples: see `ma_limit`."""
    prompts: tuple[str, ...] = PROMPTS
    """Names of the prompts to measure; `longest` is the definition of the papers."""
    seed: int = 0
    """Seed of the decoys."""

    def as_dict(self) -> dict[str, Any]:
        """Return the form for files, and for the key of stored measures."""
        return {
            "sampler": self.sampler.as_dict(),
            "references": self.references,
            "starts": self.starts,
            "ngrams": list(self.ngrams),
            "el_limit": self.el_limit,
            "ma_limit": self.ma_limit,
            "queries_limit": self.queries_limit,
            "prompts": list(self.prompts),
            "seed": self.seed,
        }
