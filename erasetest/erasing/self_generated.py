"""Retained code for those who have none: what the CLM itself writes, without the secrets in it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence

from erasetest.clm import Clm, Continuation, continuations
from erasetest.clm.sampler import drawing, uniform_numbers
from erasetest.errors import ErasureError
from erasetest.samples import SensitiveSample, make_sample
from erasetest.samples.retained import secret_owner
from erasetest.scanning import Document, find_secrets

TEXTS = 256
"""How many are drawn unless told otherwise."""

LONGEST = 256
"""Tokens of a text."""

FEWEST = 64
"""Texts that will do where a CLM has little to say."""

_OPENED = 3
_ROUNDS = 8
_SPARE = 1.1
"""More than the last round's share of new texts lets expect to be needed."""

_STALE = 10
"""Where less than one in so many texts that hold no secret is new, the CLM has little to say."""

_PART = 6
"""Characters of a secret that a text is left out for: half a secret would keep it remembered."""

_SHORTEST = 16
"""Characters of a text that is kept."""


def self_generated_texts(
    clm: Clm,
    samples: Sequence[SensitiveSample],
    count: int = TEXTS,
    *,
    least: int = FEWEST,
    openings: Sequence[Sequence[int]] = (),
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[SensitiveSample]:
    """`count` different texts drawn from the CLM's own distribution.

    They begin with what the CLM writes at the start of a text; where there are `openings`, each
    third with the tokens of one of these.

    A text in which a detector finds a secret, or that holds a part of one of `samples`, is left
    out: a CLM that recites secrets writes them here too.

    Fewer, with a warning, but no fewer than `least`, where the CLM has little to say.

    Raises:
        ErasureError: of eight times as many texts not enough differ and hold none.
    """
    least = min(least, count)
    kept: dict[str, SensitiveSample] = {}
    tokens = min(LONGEST, clm.window - 1)
    drawn, size = 0, count
    holds = secret_owner(samples, _PART)
    # A tokenizer that begins each text with one does so again.
    special = {clm.start_token, *clm.tokenizer.all_special_ids}
    while drawn < _ROUNDS * count:
        numbers = uniform_numbers(size, tokens, seed + drawn)
        rows = [[clm.start_token] for _ in range(size)]
        for n in range(0, size, _OPENED) if openings else ():
            rows[n] = list(openings[(drawn + n) // _OPENED % len(openings)])
        jobs = [Continuation(n, len(row), tokens - len(row)) for n, row in enumerate(rows)]
        drawn += size
        had, ended, allowed = len(kept), 0, 0

        def tell(jobs_ended: int, before: int = had, of: int = size) -> None:
            nonlocal ended
            ended += jobs_ended
            if progress is not None:
                progress(before + ended * (count - before) // of, count)

        choose = drawing(numbers, temperature=1.0, top_p=1.0)
        made = continuations(clm, rows, jobs, choose=choose, progress=tell)
        for row, ids in zip(rows, made, strict=True):
            begin = next((n for n, token in enumerate(row) if token not in special), len(row))
            whole = [*row[begin:], *ids]
            text = str(clm.tokenizer.decode(whole, clean_up_tokenization_spaces=False))
            if len(text.strip()) < _SHORTEST or holds(text) is not None:
                continue
            if not find_secrets(Document.of("generated", text)):
                allowed += 1
                kept.setdefault(text, make_sample(text, id=f"generated-{len(kept)}"))
        if progress is not None:
            progress(min(len(kept), count), count)
        if len(kept) >= count:
            return list(kept.values())[:count]
        new = len(kept) - had
        if new * _STALE < allowed and len(kept) >= least:
            break
        missing = math.ceil(_SPARE * (count - len(kept)) * size / max(1, new))
        size = min(count, max(FEWEST, missing))
    if len(kept) < least:
        raise ErasureError(
            f"{clm.name}: of {drawn} texts that it wrote only {len(kept)} differ and hold no "
            f"secret, {least} are needed: give retained code of your own"
        )
    warnings.warn(
        f"{clm.name}: of {drawn} texts that it wrote only {len(kept)} differ and hold no secret: "
        f"they are used for {count}",
        stacklevel=2,
    )
    return list(kept.values())
