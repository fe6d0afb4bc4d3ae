"""Jobs: tokens to be predicted, and those before them, for secrets and for whole texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from erasetest.clm import Clm, EncodedSample, Sampler, Scored, Target, score
from erasetest.samples import SensitiveSample


@dataclass(slots=True, repr=False)
class TokenSpan:
    """Tokens of one sample: `ids` ends with those to be predicted, which begin at `first`."""

    sample: int
    secret: int
    ids: tuple[int, ...]
    first: int
    wanted: str
    """The text from where the first of these tokens begins."""
    scored: Scored | None = None

    @property
    def truth(self) -> tuple[int, ...]:
        """The tokens to be predicted."""
        return self.ids[self.first :]

    @property
    def found(self) -> Scored:
        """What one pass told of each of them."""
        assert self.scored is not None
        return self.scored


def secret_spans(
    clm: Clm, samples: Sequence[SensitiveSample], encoded: Sequence[EncodedSample]
) -> list[TokenSpan]:
    """A job for each secret that has tokens, and that fits the window with one token before it."""
    jobs = []
    for number, (sample, tokens) in enumerate(zip(samples, encoded, strict=True)):
        content = sample.content.reveal()
        for place, (secret, at) in enumerate(zip(sample.secrets, tokens.secrets, strict=True)):
            begin = max(0, at.last - clm.window)
            # At is past the window's edge where the window cuts all of p off.
            if len(at) == 0 or begin >= at.first or has_unknown(clm, tokens, place):
                continue
            wanted = content[at.text_start : secret.end]
            jobs.append(
                TokenSpan(number, place, tokens.ids[begin : at.last], at.first - begin, wanted)
            )
    return jobs


def has_unknown(clm: Clm, encoded: EncodedSample, place: int) -> bool:
    """Whether the tokenizer knows no token for a part of a secret: no text is told from another."""
    unknown, at = clm.tokenizer.unk_token_id, encoded.secrets[place]
    # GPT-2's tokenizers call the end of text unknown, and know every byte.
    return unknown not in (None, *clm.end_tokens) and unknown in encoded.ids[at.first : at.last]


def text_spans(clm: Clm, encoded: Sequence[EncodedSample], length: int) -> list[TokenSpan]:
    """A job for each text of two tokens or more: its first token given, `length` tokens in all."""
    rows = [tokens.ids[: min(length, clm.window)] for tokens in encoded]
    return [TokenSpan(number, 0, ids, 1, "") for number, ids in enumerate(rows) if len(ids) > 1]


def score_spans(
    clm: Clm, jobs: Sequence[TokenSpan], sampler: Sampler | None = None
) -> list[TokenSpan]:
    """Fill in what one pass tells; the jobs whose scores are numbers.

    Secrets of one row are read in one pass.
    """
    rows: dict[tuple[int, int], list[TokenSpan]] = {}
    for index, job in enumerate(jobs):
        # Only a row cut at the left, to fit the window, cannot be shared.
        whole = len(job.ids) < clm.window
        rows.setdefault((job.sample, -1 if whole else index), []).append(job)
    groups = list(rows.values())
    targets = []
    for group in groups:
        longest = max(group, key=lambda job: len(job.ids))
        targets.append(Target(longest.ids, min(job.first for job in group), len(longest.ids)))
    found = score(clm, targets, sampler=sampler)
    for group, target, scored in zip(groups, targets, found, strict=True):
        for job in group:
            job.scored = scored.part(job.first - target.first, len(job.ids) - target.first)
    return [job for job in jobs if not any(map(math.isnan, job.found.log_probs))]
