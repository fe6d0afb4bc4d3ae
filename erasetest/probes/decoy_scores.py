"""Never-seen secrets of the same format in the same context, scored from the shared prefix."""

from __future__ import annotations

import bisect
import itertools
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from erasetest.clm import Branch, Clm, EncodedSample, encode, score_branches
from erasetest.clm.encoding import overlapping
from erasetest.probes.sampling_likelihood import log2_probability
from erasetest.probes.token_spans import TokenSpan
from erasetest.samples import Secret, SensitiveSample, make_sample
from erasetest.samples.decoys import decoy

if TYPE_CHECKING:
    from erasetest.probes.probing import ProbeSettings

_BEFORE = 64
"""Characters before a secret from where on a copy is cut into tokens again."""

_AFTER = 64
"""Characters behind a secret that may change how its last token is cut."""


def decoy_log2_p(
    clm: Clm,
    samples: Sequence[SensitiveSample],
    encoded: Sequence[EncodedSample],
    jobs: Sequence[TokenSpan],
    settings: ProbeSettings,
) -> list[list[float]]:
    """For each job, the log2_p of `settings.references` decoys put in its secret's place.

    Fewer where the format leaves little choice, none where it leaves none.
    """
    rows: list[tuple[int, ...]] = []
    branches: list[Branch] = []
    owners: list[tuple[int, int]] = []
    for number, job in enumerate(jobs):
        copies = _with_decoys(clm, samples[job.sample], encoded[job.sample], job, settings)
        shared = _common([copy.ids for copy in copies]) if copies else 0
        # What is cut off past the window depends on the copy's length, and moves all positions.
        by_begin: dict[int, list[_Copy]] = {}
        for copy in copies:
            by_begin.setdefault(max(0, len(copy.ids) - clm.window), []).append(copy)
        for begin, alike in by_begin.items():
            for copy in alike:
                cut = min(copy.first, shared)
                if cut > begin:
                    branches.append(Branch(len(rows), cut - begin, copy.ids[cut:]))
                    owners.append((number, copy.first - cut))
            rows.append(alike[0].ids[begin:])
    found: list[list[float]] = [[] for _ in jobs]
    scores = score_branches(clm, rows, branches, settings.sampler)
    for (number, before), log_probs in zip(owners, scores, strict=True):
        found[number].append(log2_probability(log_probs[before:]))
    return found


def _common(rows: list[tuple[int, ...]]) -> int:
    """How many tokens all rows begin with alike: as many as the least and the greatest do."""
    least, greatest = min(rows), max(rows)
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(least, greatest, strict=False))
    return sum(1 for _ in pairs)


class _Copy(NamedTuple):
    """The tokens of a sample with a decoy, to the decoy's last, and where its first one is."""

    ids: tuple[int, ...]
    first: int


def _with_decoys(
    clm: Clm,
    sample: SensitiveSample,
    encoded: EncodedSample,
    job: TokenSpan,
    settings: ProbeSettings,
) -> list[_Copy]:
    content, secret = sample.content.reveal(), sample.secrets[job.secret]
    rng = random.Random(f"{settings.seed} {sample.id} {job.secret}")
    text = secret.text.reveal()
    drawn = (decoy(text, secret.kind, rng) for _ in range(settings.references))
    decoys = [one for one in drawn if one != text]
    if not decoys:
        return []
    after = content[secret.end : secret.end + _AFTER]
    tail = _tail(clm, content, after, secret, encoded, job)
    if tail is None:
        whole = [
            make_sample(
                content[: secret.start] + one + after, [(secret.start, secret.end, secret.kind)]
            )
            for one in decoys
        ]
        copies = [(copy.ids, copy.secrets[0]) for copy in encode(clm, whole)]
        return [_Copy(ids[: at.last], at.first) for ids, at in copies if len(at)]
    place, begin = tail
    texts = [content[begin : secret.start] + one + after for one in decoys]
    found = []
    for ids, (first, last) in _cut(clm, texts, secret.start - begin, secret.end - begin):
        found.append(_Copy((*encoded.ids[:place], *ids[:last]), place + first))
    return found


def _tail(
    clm: Clm,
    content: str,
    after: str,
    secret: Secret,
    encoded: EncodedSample,
    job: TokenSpan,
) -> tuple[int, int] | None:
    """A token close before the secret, and the code point that it begins at.

    From there on the text is cut into the same tokens as in the whole, which is tried: cutting the
    whole text for every decoy would take longer than scoring it.
    """
    place = bisect.bisect_left(encoded.text_starts, secret.start - _BEFORE)
    if not 0 < place < encoded.secrets[job.secret].first:
        return None
    begin = encoded.text_starts[place]
    text = content[begin : secret.end] + after
    ((ids, (_, last)),) = _cut(clm, [text], secret.start - begin, secret.end - begin)
    same = tuple(ids[:last]) == encoded.ids[place : encoded.secrets[job.secret].last]
    return (place, begin) if same else None


def _cut(
    clm: Clm, texts: list[str], start: int, end: int
) -> list[tuple[list[int], tuple[int, int]]]:
    """The tokens of texts, and which of them overlap `[start, end)`; texts without any are left."""
    cut = clm.tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    found = []
    for text, ids, offsets in zip(texts, cut["input_ids"], cut["offset_mapping"], strict=True):
        hit = overlapping(clm, text, ids, offsets, start, end)
        if hit is not None:
            found.append((ids, hit))
    return found
