"""Tokenized samples that erasing trains on, with each token labelled as secret or context."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from erasetest.clm import Clm, EncodedSecret, encode
from erasetest.errors import BadInput
from erasetest.samples import SensitiveSample, make_sample
from erasetest.samples.decoys import with_decoys
from erasetest.samples.retained import SecretOwner, secret_matcher

_INSIDE_WORD = re.compile(r"\w\w")
"""Matches the two characters at a boundary that is not one of a word."""

SecretIds = frozenset[int]
"""Numbers of the secrets that a token belongs to: empty for context, several in an overlap."""

Span = tuple[int, int, str]
"""Start and end in code points, and kind."""

CONTEXT: SecretIds = frozenset()
IGNORED: SecretIds = frozenset({-1})
"""Token of a secret that this example does not target: excluded from both losses."""


@dataclass(frozen=True, slots=True, repr=False)
class TokenizedExample:
    """Token ids, and for each token the secrets that it belongs to."""

    ids: tuple[int, ...]
    secret_ids: tuple[SecretIds, ...]
    sample: int = 0
    """Number of the sample that the example is made from."""
    text: SensitiveSample | None = field(default=None, compare=False)
    """The text that it is made from, if that is not the sample's: one without copies."""
    target: int | None = None
    """The secret that it ends with and targets alone; None for one of a whole text."""

    @property
    def secrets(self) -> SecretIds:
        """The numbers of the secrets that the example targets."""
        return CONTEXT.union(*self.secret_ids) - IGNORED


def unmarked_secrets(samples: Sequence[SensitiveSample]) -> list[list[Span]]:
    """Find the secrets that occur in each sample's text but are not marked in that sample.

    Those are secrets marked in other samples of the same text (a manifest may have a line for each
    secret), and further occurrences of whole secrets of any sample. Excluded are plain words and
    parts of longer words, which are code. As context, such secrets would be learned again.
    """
    find = secret_matcher(samples)
    marked: dict[str, dict[Span, None]] = {}
    for sample in samples:
        text = sample.content.reveal()
        marked.setdefault(text, {}).update(dict.fromkeys(_spans(sample)))
    # Search each text once, however many samples share it.
    found = {text: [*spans, *_isolated_matches(text, find(text))] for text, spans in marked.items()}
    return [
        [
            span
            for span in dict.fromkeys(found[sample.content.reveal()])
            if not any(own.start <= span[0] and span[1] <= own.end for own in sample.secrets)
        ]
        for sample in samples
    ]


def _isolated_matches(text: str, matches: Iterable[tuple[int, str, SecretOwner]]) -> Iterator[Span]:
    """Yield disjoint matches from left to right, longest first, that are not part of a word."""
    last_end = 0
    for start, piece, owner in sorted(matches, key=lambda match: (match[0], -len(match[1]))):
        end = start + len(piece)
        inside = _INSIDE_WORD.match(text[start - 1 : start + 1]) or _INSIDE_WORD.match(
            text[end - 1 : end + 1]
        )
        if start >= last_end and not inside and not piece.replace("_", "").isalpha():
            last_end = end
            yield start, end, owner.kind


def _spans(sample: SensitiveSample) -> list[Span]:
    return [(secret.start, secret.end, secret.kind) for secret in sample.secrets]


def forget_examples(
    clm: Clm,
    samples: Sequence[SensitiveSample],
    unmarked: Sequence[Sequence[Span]] | None = None,
) -> tuple[list[TokenizedExample], int]:
    """Tokenize the forget set.

    A sample that fits the CLM's window is one example; of a longer one each secret has an example,
    which ends with it.

    Args:
        clm: its tokenizer and window are used.
        samples: the forget set.
        unmarked: secrets to ignore in each sample; None finds them (`unmarked_secrets`).

    Returns:
        The examples, and the number of secrets, which are numbered in order from 0.

    Raises:
        BadInput: a sample has no secret, or none that has tokens and fits the window. Others are
            left out.
    """
    ignored = unmarked_secrets(samples) if unmarked is None else unmarked
    marked = [_with_spans(sample, spans) for sample, spans in zip(samples, ignored, strict=True)]
    examples: list[TokenizedExample] = []
    count = 0
    for index, (sample, encoded) in enumerate(zip(samples, encode(clm, marked), strict=True)):
        if not sample.secrets:
            raise BadInput(f"sample {sample.id}: has no secret to erase")
        secret_ids = [CONTEXT] * len(encoded.ids)
        for place in encoded.secrets[len(sample.secrets) :]:
            secret_ids[place.first : place.last] = [IGNORED] * len(place)
        places = encoded.secrets[: len(sample.secrets)]
        # Clear first: a token of both an ignored and a target secret belongs to the target.
        for place in places:
            secret_ids[place.first : place.last] = [CONTEXT] * len(place)
        fitting = [(number, p) for number, p in enumerate(places, count) if 0 < len(p) < clm.window]
        if not fitting:
            raise BadInput(
                f"sample {sample.id}: a secret of {len(places[0])} tokens cannot be erased with a "
                f"window of {clm.window}: leave it out of the manifest"
            )
        for place in places:
            if len(place) >= clm.window:
                secret_ids[place.first : place.last] = [IGNORED] * len(place)
        for number, place in fitting:
            for i in range(place.first, place.last):
                secret_ids[i] = (secret_ids[i] - IGNORED) | {number}
        whole = TokenizedExample(encoded.ids, tuple(secret_ids), index)
        if len(whole.ids) <= clm.window:
            examples.append(whole)
        else:
            examples += [_window_ending_at(whole, *secret, clm.window) for secret in fitting]
        count += len(places)
    return examples, count


def _with_spans(sample: SensitiveSample, spans: Sequence[Span]) -> SensitiveSample:
    """Return the sample with more spans after its own."""
    return make_sample(sample.content.reveal(), [*_spans(sample), *spans], id=sample.id)


def _window_ending_at(
    example: TokenizedExample, number: int, place: EncodedSecret, window: int
) -> TokenizedExample:
    """Return the last tokens up to the end of a secret that fit the window."""
    part = slice(max(0, place.last - window), place.last)
    return TokenizedExample(
        example.ids[part],
        tuple(
            frozenset({number}) if number in secret_ids else IGNORED if secret_ids else CONTEXT
            for secret_ids in example.secret_ids[part]
        ),
        example.sample,
    )


def append_eos(clm: Clm, examples: Sequence[TokenizedExample]) -> list[TokenizedExample]:
    """Append an end-of-text token to each example that has room for it in the window.

    This makes the EOS prediction after the last token part of the context.
    """
    eos = min(clm.end_tokens, default=clm.start_token)
    return [
        replace(example, ids=(*example.ids, eos), secret_ids=(*example.secret_ids, CONTEXT))
        if len(example.ids) < clm.window
        else example
        for example in examples
    ]


def secret_offsets(samples: Sequence[SensitiveSample]) -> list[int]:
    """Return the number of each sample's first secret, and last the total number of secrets."""
    return list(itertools.accumulate((len(sample.secrets) for sample in samples), initial=0))


def decoy_examples(
    clm: Clm,
    samples: Sequence[SensitiveSample],
    forget: Sequence[TokenizedExample],
    rng: random.Random,
    unmarked: Sequence[Sequence[Span]] | None = None,
) -> list[TokenizedExample]:
    """Make examples with fresh decoys in place of the secrets.

    A sample has none if its formats leave no choice, or if a decoy has more tokens than its secret
    and does not fit the window.

    Args:
        clm: its tokenizer and window are used.
        samples: the forget set.
        forget: the examples whose samples to use.
        rng: draws the decoys.
        unmarked: secrets to replace too, by decoys without a number; None finds them.

    Returns:
        Examples whose decoys have the numbers of the secrets that they replace.
    """
    others = unmarked_secrets(samples) if unmarked is None else unmarked
    offsets = secret_offsets(samples)
    examples: list[TokenizedExample] = []
    # The examples of a long sample's secrets share its texts with decoys.
    alike = {(one.sample, one.ids if one.target is not None else None): one for one in forget}
    for asked in alike.values():
        source = samples[asked.sample] if asked.text is None else asked.text
        also = others[asked.sample] if asked.text is None else []
        drawn = with_decoys(_with_spans(source, also), "decoy", rng, repeated=True)
        own, places = _spans(source), _spans(drawn)
        spans = [span for span in places if span in own]
        first = offsets[asked.sample] if asked.text is None else asked.target or 0
        replaced = [first + own.index(span) for span in spans]
        changed = make_sample(drawn.content.reveal(), spans, id=drawn.id)
        try:
            made, _ = forget_examples(clm, [changed], [[s for s in places if s not in own]])
        except BadInput:
            continue
        for example in made:
            secret_ids = (frozenset(replaced[n] for n in o - IGNORED) for o in example.secret_ids)
            whole = replace(example, secret_ids=tuple(secret_ids), sample=asked.sample)
            if asked.target is None:
                examples.append(whole)
            elif asked.target in whole.secrets:
                examples.append(_with_the_prompt_of(asked, asked.target, whole))
    return examples


def _with_the_prompt_of(
    asked: TokenizedExample, target: int, whole: TokenizedExample
) -> TokenizedExample:
    """Return the part of a text with decoys that an example with a shorter prompt is compared to.

    Args:
        asked: the example.
        target: the secret that it targets.
        whole: the whole text.
    """

    def place(example: TokenizedExample) -> list[int]:
        return [i for i, numbers in enumerate(example.secret_ids) if target in numbers]

    at = place(whole)
    part = slice(max(0, at[0] - place(asked)[0]), at[-1] + 1)
    labels = (frozenset({target}) & numbers for numbers in whole.secret_ids[part])
    return replace(whole, ids=whole.ids[part], secret_ids=tuple(labels), target=target)


def retained_examples(clm: Clm, samples: Sequence[SensitiveSample]) -> list[TokenizedExample]:
    """Tokenize retained code, truncated to the CLM's window.

    Raises:
        BadInput: there is no text of two tokens or more.
    """
    examples = [
        TokenizedExample(ids, (CONTEXT,) * len(ids))
        for ids in (encoded.ids[: clm.window] for encoded in encode(clm, samples))
        if len(ids) > 1
    ]
    if not examples:
        raise BadInput("the retained set is empty: give code whose behaviour must not change")
    return examples
