"""Examples with the other prompts of the secrets.

Erased after one prompt alone, a secret may still be recited after another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from erasetest.clm import Clm, encode
from erasetest.erasing.examples import CONTEXT, IGNORED, SecretIds, Span, TokenizedExample
from erasetest.probes.copying import FIRST_CONTROLS, bits_over_copies, copy_controls
from erasetest.probes.prompt_names import LONGEST
from erasetest.probes.prompts import SecretPrompts, secret_prompts
from erasetest.probes.token_spans import TokenSpan, score_spans
from erasetest.samples import SensitiveSample, make_sample


@dataclass(frozen=True, slots=True, repr=False)
class ForgetGroup:
    """The examples that one of the forget set is trained with, one of them in each step."""

    longest: TokenizedExample
    """The whole text, or what fits the window. Secrets that the CLM copies from the text before
    them are not among its targets."""
    others: tuple[TokenizedExample, ...] = ()
    """One for each other prompt of each secret."""

    @property
    def examples(self) -> tuple[TokenizedExample, ...]:
        """All of them."""
        return (self.longest, *self.others)

    @property
    def secrets(self) -> SecretIds:
        """The numbers of the secrets that they target."""
        return CONTEXT.union(*(example.secrets for example in self.examples))


def forget_groups(
    clm: Clm,
    samples: Sequence[SensitiveSample],
    forget: Sequence[TokenizedExample],
    unmarked: Sequence[Sequence[Span]],
) -> list[ForgetGroup]:
    """Return a group for each example of the forget set, with the same prompts as probes use.

    Args:
        clm: its tokenizer and window are used.
        samples: the forget set.
        forget: its examples, one or more per sample, in order.
        unmarked: other secrets in the text of each sample, which no example targets.
    """
    # Secrets are numbered in this order.
    prompts = [
        (sample, place, asked)
        for sample, of_sample in zip(samples, secret_prompts(clm, samples), strict=True)
        for place, asked in enumerate(of_sample)
    ]
    copied = _copied(clm, [asked for _, _, asked in prompts])
    groups = []
    for example in forget:
        others = [
            _example(clm, span, sample, place, number, unmarked[example.sample], example.sample)
            for number in sorted(example.secrets)
            for sample, place, asked in [prompts[number]]
            for name, span in asked.clean.items()
            if name != LONGEST
        ]
        groups.append(ForgetGroup(_without(example, copied), tuple(others)))
    return groups


def _copied(clm: Clm, every: Sequence[SecretPrompts]) -> set[int]:
    """Return the secrets that the text before them holds, and that are no more likely than copies.

    One that is more likely was memorized together with what the text holds of it.
    """
    numbers = [n for n, prompts in enumerate(every) if prompts.with_copies is not None]
    secrets = [every[n] for n in numbers]
    controls = copy_controls(clm, secrets, range(FIRST_CONTROLS))
    spans = [one.with_copies for one in secrets if one.with_copies is not None]
    of_copies = [span for found in controls for span in found]
    measured = {id(span) for span in score_spans(clm, [*spans, *of_copies])}
    known = [
        (number, prompts, [span for span in found if id(span) in measured])
        for number, prompts, found in zip(numbers, secrets, controls, strict=True)
        if id(prompts.with_copies) in measured
    ]
    bits = bits_over_copies(clm, [one for _, one, _ in known], [found for *_, found in known])
    memorized = {n for (n, _, _), value in zip(known, bits, strict=True) if (value or 0) > 0}
    return set(numbers) - memorized


def _without(example: TokenizedExample, numbers: Iterable[int]) -> TokenizedExample:
    """Return an example that targets none of these secrets."""
    removed = example.secrets & frozenset(numbers)
    if not removed:
        return example
    labels = tuple((ids - removed) or (IGNORED if ids else CONTEXT) for ids in example.secret_ids)
    return replace(example, secret_ids=labels)


def _example(
    clm: Clm,
    span: TokenSpan,
    sample: SensitiveSample,
    place: int,
    number: int,
    unmarked: Sequence[Span],
    index: int,
) -> TokenizedExample:
    """Return the tokens of a prompt and its secret as an example that targets this secret alone."""
    target = span.text.secrets[span.place]
    own = (target.start, target.end, target.kind)
    # Copies are replaced by texts of the same length, so all other secrets are where they were.
    marked = [(s.start, s.end, s.kind) for n, s in enumerate(sample.secrets) if n != place]
    content = span.text.content.reveal()
    others = [
        other
        for other in (*marked, *unmarked)
        if content[other[0] : other[1]] == sample.content.reveal()[other[0] : other[1]]
    ]
    text = make_sample(content, [own, *others], id=sample.id)
    (encoded,) = encode(clm, [text])
    labels = [CONTEXT] * len(encoded.ids)
    for other in encoded.secrets[1:]:
        labels[other.first : other.last] = [IGNORED] * len(other)
    at = encoded.secrets[0]
    labels[at.first : at.last] = [frozenset({number})] * len(at)
    part = labels[at.last - len(span.ids) + encoded.leading : at.last]
    return TokenizedExample(
        span.ids,
        (*[CONTEXT] * encoded.leading, *part),
        index,
        make_sample(content, [own], id=sample.id) if span.text is not sample else None,
        number,
    )
