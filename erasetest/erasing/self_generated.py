"""Self-generated retained code: texts sampled from the CLM, without the secrets in them."""

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
from erasetest.support.progress import Progress

TEXTS = 256
"""Default number of texts."""

MIN_TEXTS = 64
"""Number of texts that is enough if a CLM generates few different ones."""

MAX_ROUNDS = 8
"""Maximum number of texts to sample, as a multiple of the number wanted."""

_MAX_TOKENS = 256
"""Maximum number of tokens of a text."""

_PROMPTED = 3
"""Every third text starts with one of the `openings`, if there are any."""

_MARGIN = 1.1
"""Factor on the number of texts that the yield of the last round suggests."""

_MAX_TEXTS_PER_NEW = 10
"""Number of texts without secrets per new one above which sampling ends."""

_PART = 6
"""Number of consecutive characters of a secret that exclude a text: half a secret would keep the
CLM's memory of it."""

_MIN_CHARACTERS = 16
"""Minimum length of a text."""


def self_generated_texts(
    clm: Clm,
    samples: Sequence[SensitiveSample],
    count: int = TEXTS,
    *,
    min_texts: int = MIN_TEXTS,
    openings: Sequence[Sequence[int]] = (),
    seed: int = 0,
    progress: Progress | None = None,
) -> list[SensitiveSample]:
    """Sample different texts from the CLM's own distribution.

    A text in which a detector finds a secret, or with a part of a secret of `samples`, is left out:
    a CLM that recites secrets does so here too.

    Args:
        clm: generates the texts.
        samples: samples whose secrets must not occur.
        count: number of texts.
        min_texts: if the CLM generates few different texts, so many are enough, with a warning.
        openings: token ids that every third text starts with; the others start as a new text.
        seed: of the sampling.
        progress: receives the number of texts so far, and `count`.

    Raises:
        ErasureError: fewer than `min_texts` of the sampled texts differ and have no secret.
    """
    min_texts = min(min_texts, count)
    kept: dict[str, SensitiveSample] = {}
    has_no_secret = _secret_filter(samples)
    drawn, size = 0, count
    while drawn < MAX_ROUNDS * count:
        before, allowed = len(kept), 0
        report = _round_progress(progress, before, count)
        texts = _sample_texts(clm, size, openings, seed, drawn, report)
        drawn += size
        for text in texts:
            if has_no_secret(text):
                allowed += 1
                kept.setdefault(text, make_sample(text, id=f"generated-{len(kept)}"))
        if progress is not None:
            progress(min(len(kept), count), count)
        if len(kept) >= count:
            return list(kept.values())[:count]
        new = len(kept) - before
        if new * _MAX_TEXTS_PER_NEW < allowed and len(kept) >= min_texts:
            break
        missing = math.ceil(_MARGIN * (count - len(kept)) * size / max(1, new))
        size = min(count, max(MIN_TEXTS, missing))
    if len(kept) < min_texts:
        raise ErasureError(
            f"{clm.name}: of {drawn} generated texts only {len(kept)} differ and contain no "
            f"secret, {min_texts} are needed: give retained code of your own"
        )
    warnings.warn(
        f"{clm.name}: of {drawn} generated texts only {len(kept)} differ and contain no secret: "
        f"they are used in place of {count}",
        stacklevel=2,
    )
    return list(kept.values())


def _secret_filter(samples: Sequence[SensitiveSample]) -> Callable[[str], bool]:
    """Return a function that tells whether a text is long enough and has no secret."""
    owner = secret_owner(samples, _PART)

    def has_no_secret(text: str) -> bool:
        if len(text.strip()) < _MIN_CHARACTERS or owner(text) is not None:
            return False
        return not find_secrets(Document.of("generated", text))

    return has_no_secret


def _round_progress(progress: Progress | None, before: int, count: int) -> Progress:
    """Return a callback for the texts of a round that end, given `before` texts."""

    def report(ended: int, size: int) -> None:
        if progress is not None:
            progress(before + ended * (count - before) // size, count)

    return report


def _sample_texts(
    clm: Clm,
    size: int,
    openings: Sequence[Sequence[int]],
    seed: int,
    drawn: int,
    report: Progress,
) -> list[str]:
    """Sample a round of texts.

    Args:
        clm: generates the texts.
        size: number of texts.
        openings: token ids that every third text starts with.
        seed: of the sampling.
        drawn: number of texts sampled in earlier rounds.
        report: receives the number of texts that have ended, and `size`.
    """
    tokens = min(_MAX_TOKENS, clm.window - 1)
    numbers = uniform_numbers(size, tokens, seed + drawn)
    prompts = [[clm.start_token] for _ in range(size)]
    for n in range(0, size, _PROMPTED) if openings else ():
        prompts[n] = list(openings[(drawn + n) // _PROMPTED % len(openings)])
    jobs = [Continuation(n, len(row), tokens - len(row)) for n, row in enumerate(prompts)]
    choose = drawing(numbers, temperature=1.0, top_p=1.0)
    generated = continuations(clm, prompts, jobs, choose=choose, progress=report)
    # A tokenizer that starts each text with a special token would add a second one.
    special = {clm.start_token, *clm.tokenizer.all_special_ids}
    texts = []
    for prompt, ids in zip(prompts, generated, strict=True):
        start = next((n for n, token in enumerate(prompt) if token not in special), len(prompt))
        whole = [*prompt[start:], *ids]
        texts.append(str(clm.tokenizer.decode(whole, clean_up_tokenization_spaces=False)))
    return texts
