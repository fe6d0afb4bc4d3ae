"""Retained code for those who have none: what the CLM itself writes, without the secrets in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from erasetest.clm import Clm, Continuation, continuations
from erasetest.clm.sampler import drawing, uniform_numbers
from erasetest.errors import ErasureError
from erasetest.retained import holder
from erasetest.samples import SensitiveSample, make_sample
from erasetest.scan import Document, find_secrets

TEXTS = 256
"""How many are drawn unless told otherwise."""

LONGEST = 256
"""Tokens of a text."""

_ROUNDS = 8
_PART = 6
"""Characters of a secret that a text is left out for: half a secret would keep it remembered."""

_SHORTEST = 16
"""Characters of a text that is kept."""


def own_generations(
    clm: Clm,
    samples: Sequence[SensitiveSample],
    count: int = TEXTS,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[SensitiveSample]:
    """`count` different texts drawn from the CLM's own distribution, from the start of a text.

    A text in which a detector finds a secret, or that holds a part of one of `samples`, is left
    out: a CLM that recites secrets writes them here too.

    Raises:
        ErasureError: after eight rounds there are not enough that hold none.
    """
    kept: dict[str, SensitiveSample] = {}
    tokens = min(LONGEST, clm.window - 1)
    drawn = 0
    holds = holder(samples, _PART)
    for _ in range(_ROUNDS):
        numbers = uniform_numbers(count, tokens, seed + drawn)
        drawn += count
        jobs = [Continuation(0, 1, tokens)] * count
        made = continuations(
            clm, [[clm.start_token]], jobs, choose=drawing(numbers, temperature=1.0, top_p=1.0)
        )
        for ids in made:
            text = str(clm.tokenizer.decode(ids, clean_up_tokenization_spaces=False))
            if len(text.strip()) < _SHORTEST or holds(text) is not None:
                continue
            if not find_secrets(Document.of("generated", text)):
                kept.setdefault(text, make_sample(text, id=f"generated-{len(kept)}"))
        if progress is not None:
            progress(min(len(kept), count), count)
        if len(kept) >= count:
            return list(kept.values())[:count]
    raise ErasureError(
        f"{clm.name}: of {drawn} texts that it wrote only {len(kept)} hold no secret, "
        f"{count} are needed: give retained code of your own"
    )
