"""Samples as rows of tokens that erasing trains on, each token known to be secret or context."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from erasetest.clm import Clm, EncodedSecret, encode
from erasetest.errors import BadInput
from erasetest.samples import SensitiveSample, make_sample
from erasetest.samples.decoys import with_decoys
from erasetest.samples.retained import SecretOwner, secret_matcher

_WORD = re.compile(r"\w\w")
SecretIds = frozenset[int]
"""Numbers of the secrets that a token belongs to: none for context, several in an overlap."""

Span = tuple[int, int, str]
"""Start and end in code points, and kind."""

CONTEXT: SecretIds = frozenset()
IGNORED: SecretIds = frozenset({-1})
"""A secret's token in a row that is there for another secret: neither erased here nor kept."""


@dataclass(frozen=True, slots=True, repr=False)
class TokenizedExample:
    """Token ids, and for each the secrets that it belongs to."""

    ids: tuple[int, ...]
    secret_ids: tuple[SecretIds, ...]
    sample: int = 0
    """The number of the sample that it is of."""

    @property
    def secrets(self) -> SecretIds:
        """The numbers of the secrets that are erased in it."""
        return CONTEXT.union(*self.secret_ids) - IGNORED


def unmarked_places(samples: Sequence[SensitiveSample]) -> list[list[Span]]:
    """Where each sample holds secrets that it does not mark itself.

    They are those of samples of equal content (a line for each secret), and whole secrets of any
    sample that stand there once more, but for mere words and parts of longer ones, which are code.
    Held as context, they would teach what is to be forgotten.
    """
    find = secret_matcher(samples)
    marked: dict[str, dict[Span, None]] = {}
    for sample in samples:
        text = sample.content.reveal()
        marked.setdefault(text, {}).update(dict.fromkeys(_spans(sample)))
    # Each content is searched once, however many lines it has.
    found = {text: [*spans, *_standing_alone(text, find(text))] for text, spans in marked.items()}
    return [
        [
            span
            for span in dict.fromkeys(found[sample.content.reveal()])
            if not any(own.start <= span[0] and span[1] <= own.end for own in sample.secrets)
        ]
        for sample in samples
    ]


def _standing_alone(text: str, found: Iterable[tuple[int, str, SecretOwner]]) -> Iterator[Span]:
    """Of what was found in a text, the longest from left to right, apart from one another."""
    ended = 0
    for at, piece, owner in sorted(found, key=lambda one: (one[0], -len(one[1]))):
        end = at + len(piece)
        inside = _WORD.match(text[at - 1 : at + 1]) or _WORD.match(text[end - 1 : end + 1])
        if at >= ended and not inside and not piece.replace("_", "").isalpha():
            ended = end
            yield at, end, owner.kind


def _spans(sample: SensitiveSample) -> list[Span]:
    return [(secret.start, secret.end, secret.kind) for secret in sample.secrets]


def forget_examples(
    clm: Clm,
    samples: Sequence[SensitiveSample],
    unmarked: Sequence[Sequence[Span]] | None = None,
) -> tuple[list[TokenizedExample], int]:
    """The rows of samples, and how many secrets they have, numbered in order from 0.

    A sample that fits the CLM's window is one row; of a longer one each secret gets a row, which
    ends with it. Places that are `unmarked` (found here where None) are neither erased nor kept.

    Raises:
        BadInput: a sample has no secret, or a secret does not fit the window.
    """
    others = unmarked_places(samples) if unmarked is None else unmarked
    marked = [_marked(sample, spans) for sample, spans in zip(samples, others, strict=True)]
    rows: list[TokenizedExample] = []
    count = 0
    for index, (sample, encoded) in enumerate(zip(samples, encode(clm, marked), strict=True)):
        if not sample.secrets:
            raise BadInput(f"sample {sample.id}: has no secret to erase")
        secret_ids = [CONTEXT] * len(encoded.ids)
        for place in encoded.secrets[len(sample.secrets) :]:
            secret_ids[place.first : place.last] = [IGNORED] * len(place)
        places = encoded.secrets[: len(sample.secrets)]
        for place in places:
            secret_ids[place.first : place.last] = [CONTEXT] * len(place)
        numbered = list(enumerate(places, count))
        for number, place in numbered:
            if not len(place) or len(place) >= clm.window:
                raise BadInput(
                    f"sample {sample.id}: a secret of {len(place)} tokens cannot be erased with a "
                    f"window of {clm.window}: leave it out of the manifest"
                )
            for i in range(place.first, place.last):
                secret_ids[i] |= {number}
        whole = TokenizedExample(encoded.ids, tuple(secret_ids), index)
        if len(whole.ids) <= clm.window:
            rows.append(whole)
        else:
            rows += [_cut(whole, number, place, clm.window) for number, place in numbered]
        count += len(numbered)
    return rows, count


def _marked(sample: SensitiveSample, spans: Sequence[Span]) -> SensitiveSample:
    """The sample with more spans after its own."""
    return make_sample(sample.content.reveal(), [*_spans(sample), *spans], id=sample.id)


def _cut(row: TokenizedExample, number: int, place: EncodedSecret, window: int) -> TokenizedExample:
    """The newest tokens up to the end of a secret that fit the window."""
    part = slice(max(0, place.last - window), place.last)
    return TokenizedExample(
        row.ids[part],
        tuple(
            frozenset({number}) if number in secret_ids else IGNORED if secret_ids else CONTEXT
            for secret_ids in row.secret_ids[part]
        ),
        row.sample,
    )


def append_eos(clm: Clm, rows: Sequence[TokenizedExample]) -> list[TokenizedExample]:
    """The rows, each followed by an end-of-text token where the window has room for it.

    So what the CLM says after the last token of a text, often that it ends there, is context too.
    """
    end = min(clm.end_tokens, default=clm.start_token)
    return [
        replace(row, ids=(*row.ids, end), secret_ids=(*row.secret_ids, CONTEXT))
        if len(row.ids) < clm.window
        else row
        for row in rows
    ]


def first_secrets(samples: Sequence[SensitiveSample]) -> list[int]:
    """The number of each sample's first secret, and at the end how many secrets there are."""
    return list(itertools.accumulate((len(sample.secrets) for sample in samples), initial=0))


def decoy_examples(
    clm: Clm,
    samples: Sequence[SensitiveSample],
    forget: Sequence[TokenizedExample],
    rng: random.Random,
    unmarked: Sequence[Sequence[Span]] | None = None,
) -> list[TokenizedExample]:
    """Fresh decoys in the places of the secrets of rows, owned by the secrets they stand for.

    Places that are `unmarked` (found here where None) get decoys too, which no secret owns.
    A sample whose formats leave no choice has none, and neither has one whose decoy, of more tokens
    than its secret, does not fit the window.
    """
    others = unmarked_places(samples) if unmarked is None else unmarked
    first = first_secrets(samples)
    rows: list[TokenizedExample] = []
    for number in dict.fromkeys(row.sample for row in forget):
        sample = samples[number]
        drawn = with_decoys(_marked(sample, others[number]), "decoy", rng, repeated=True)
        own, places = _spans(sample), _spans(drawn)
        spans = [span for span in places if span in own]
        stands_for = [first[number] + own.index(span) for span in spans]
        changed = make_sample(drawn.content.reveal(), spans, id=drawn.id)
        try:
            made, _ = forget_examples(clm, [changed], [[s for s in places if s not in own]])
        except BadInput:
            continue
        for row in made:
            secret_ids = (frozenset(stands_for[n] for n in o - IGNORED) for o in row.secret_ids)
            rows.append(replace(row, secret_ids=tuple(secret_ids), sample=number))
    return rows


def retained_examples(clm: Clm, samples: Sequence[SensitiveSample]) -> list[TokenizedExample]:
    """Retained code as rows, cut to the CLM's window.

    Raises:
        BadInput: there is none, or none of two tokens or more.
    """
    rows = [
        TokenizedExample(ids, (CONTEXT,) * len(ids))
        for ids in (encoded.ids[: clm.window] for encoded in encode(clm, samples))
        if len(ids) > 1
    ]
    if not rows:
        raise BadInput("the retained set is empty: give code whose behaviour must not change")
    return rows
