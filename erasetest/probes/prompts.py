"""Prompts that a secret is asked for with: several, and none that holds a copy of it.

What a CLM memorized answers to many prompts, other text to none ("multi-prefix memorization",
arXiv 2511.20799), and nobody can know which prompts an attacker tries. So a secret is measured on

- `longest`: all the text before it that fits the window;
- `last-64`: the last 64 tokens of that;
- `line`: its own line before it.

A CLM copies what its prompt holds, so a prompt with the secret in it is no evidence of memory.
Where the text before a secret holds it, in whatever form, `longest` is replaced by

- `after-copy`: the text that begins after the last copy, if at least `MIN_TOKENS` are left of it;
- `copy-replaced`: the whole text before it, with the copies replaced by one decoy;
- `first-occurrence`: the text before its first occurrence.

The worst of all decides. The unchanged text is measured beside them, and
how well it copies a decoy in the secret's place: that is copying, not memory.
"""

from __future__ import annotations

import bisect
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from erasetest.clm import Clm, EncodedSample, encode
from erasetest.probes.prompt_names import AFTER, FIRST, LAST, LINE, LONGEST, PROMPTS, REPLACED
from erasetest.probes.token_spans import TokenSpan, has_unknown, span_in
from erasetest.samples import SensitiveSample, make_sample
from erasetest.samples.copies import Copies, CopySearch, without_copies

LAST_TOKENS = 64
"""Number of tokens of the prompt `last-64`."""

MIN_TOKENS = 32
"""Number of tokens from which the text after the last copy is a prompt."""

MIN_OTHER_TOKENS = 8
"""Number of tokens besides copies from which the text before a secret is a prompt."""

COPY_CONTROLS = 4
"""Number of decoys that replace the secret and all its copies, to measure copying."""


@dataclass(slots=True, repr=False)
class SecretPrompts:
    """The prompts of one secret, each with the tokens of the secret after it."""

    cue: float
    """Share of the secret that its text holds before it (`samples.copies`)."""
    clean: dict[str, TokenSpan] = field(default_factory=dict)
    """By name: those that hold no copy. The worst decides."""
    with_copies: TokenSpan | None = None
    """The unchanged text; None if it holds no copy."""
    controls: list[TokenSpan] = field(default_factory=list)
    """Decoys in the place of the secret and of its copies."""
    problem: str | None = None
    """Why there is no prompt to measure it with."""

    def all_spans(self) -> list[TokenSpan]:
        """Return the spans to measure."""
        return [*self.clean.values(), *([self.with_copies] if self.with_copies else [])]


def secret_prompts(
    clm: Clm,
    samples: Sequence[SensitiveSample],
    seed: int = 0,
    names: Sequence[str] = PROMPTS,
) -> list[list[SecretPrompts]]:
    """Return the prompts of each secret of each sample.

    Args:
        clm: its tokenizer and window are used.
        samples: the samples.
        seed: seed of the decoys that replace copies.
        names: those of `PROMPTS` to use, `longest` among them.
    """
    encoded = encode(clm, samples)
    found: list[list[SecretPrompts]] = []
    copied: list[_Copied] = []
    for number, (sample, tokens) in enumerate(zip(samples, encoded, strict=True)):
        search = CopySearch(sample.content.reveal())
        of_sample = []
        for place in range(len(sample.secrets)):
            span = span_in(clm, sample, tokens, place, (number, place))
            if span is None:
                problem = _why_unmeasurable(clm, tokens, place)
                of_sample.append(SecretPrompts(cue=0.0, problem=problem))
                continue
            secret = sample.secrets[place]
            visible = tokens.text_starts[tokens.secrets[place].first - span.first]
            copies = search.find(secret.start, secret.end, visible)
            prompts = SecretPrompts(copies.cue)
            of_sample.append(prompts)
            if copies.spans:
                prompts.with_copies = span
                copied.append(_Copied(prompts, span, copies, seed))
            else:
                prompts.clean[LONGEST] = span
        found.append(of_sample)
    _add_other_prompts(clm, copied)
    for of_sample in found:
        for prompts in of_sample:
            _add_short_prompts(clm, prompts, names)
    return found


def _add_short_prompts(clm: Clm, prompts: SecretPrompts, names: Sequence[str]) -> None:
    """Add the last part of the longest prompt, and its last line, where they are shorter."""
    order = (LONGEST, REPLACED, FIRST, AFTER)
    longest = next((prompts.clean[name] for name in order if name in prompts.clean), None)
    if longest is None:
        return
    tokens, secret = longest.encoded, longest.text.secrets[longest.place]
    at = tokens.secrets[longest.place].first
    line = longest.text.content.reveal().rfind("\n", 0, secret.start) + 1
    begins = {LAST: at - LAST_TOKENS, LINE: bisect.bisect_left(tokens.text_starts, line)}
    shown = at - longest.first + tokens.leading
    for name, begin in begins.items():
        if name in names and shown < begin < at:
            owner = (longest.sample, longest.secret)
            span = span_in(clm, longest.text, tokens, longest.place, owner, begin)
            if span is not None:
                prompts.clean[name] = span
                shown = begin


@dataclass(slots=True, repr=False)
class _Copied:
    """A secret whose text holds copies of it."""

    prompts: SecretPrompts
    span: TokenSpan
    copies: Copies
    seed: int

    def after_the_last(self, clm: Clm) -> TokenSpan | None:
        """Return the span after the tokens that begin after the last copy, if they suffice."""
        span = self.span
        begin = bisect.bisect_left(span.encoded.text_starts, self.copies.spans[-1][1])
        if span.encoded.secrets[span.place].first - begin < MIN_TOKENS:
            return None
        return span_in(clm, span.text, span.encoded, span.place, (span.sample, span.secret), begin)

    def count_other_tokens(self) -> int:
        """Return the number of tokens before the secret that hold no part of a copy."""
        starts = self.span.encoded.text_starts
        end = self.span.encoded.secrets[self.span.place].first
        within = sum(
            bisect.bisect_left(starts, last, hi=end) - bisect.bisect_left(starts, first, hi=end)
            for first, last in self.copies.spans
        )
        return self.span.first - within

    def texts(self) -> Iterator[tuple[str, SensitiveSample]]:
        """Yield texts with other prompts, by name; those without a name are copy controls."""
        sample, secret = self.span.text, self.span.text.secrets[self.span.place]
        content, size = sample.content.reveal(), secret.end - secret.start
        rng = random.Random(f"{self.seed} {sample.id} {self.span.place} copies")

        def text(changed: str, start: int) -> SensitiveSample:
            return make_sample(changed, [(start, start + size, secret.kind)], id=sample.id)

        if self.count_other_tokens() >= MIN_OTHER_TOKENS:
            clean, _ = without_copies(content, secret.start, secret.end, secret.kind, rng)
            yield REPLACED, text(clean, secret.start)
        first = content.find(secret.text.reveal())
        if first < secret.start:
            clean, _ = without_copies(content, first, first + size, secret.kind, rng)
            yield FIRST, text(clean, first)
        for _ in range(COPY_CONTROLS):
            clean, other = without_copies(content, secret.start, secret.end, secret.kind, rng)
            yield "", text(clean[: secret.start] + other + clean[secret.end :], secret.start)


def _add_other_prompts(clm: Clm, copied: Sequence[_Copied]) -> None:
    """Add the prompts without copies, and the copy controls."""
    owners = [(one, name, text) for one in copied for name, text in one.texts()]
    encoded = encode(clm, [text for _, _, text in owners])
    for one in copied:
        span = one.after_the_last(clm)
        if span is not None:
            one.prompts.clean[AFTER] = span
    for (one, name, text), tokens in zip(owners, encoded, strict=True):
        span = span_in(clm, text, tokens, 0, (one.span.sample, one.span.secret))
        if span is None:
            continue
        if name:
            one.prompts.clean[name] = span
        else:
            one.prompts.controls.append(span)
    for one in copied:
        if not one.prompts.clean:
            one.prompts.problem = (
                "the text before it holds it, and only "
                f"{one.count_other_tokens()} tokens besides: give it more of its file"
            )


def _why_unmeasurable(clm: Clm, encoded: EncodedSample, place: int) -> str:
    """Return why a secret has no span."""
    length = len(encoded.secrets[place])
    if length == 0:
        return "the tokenizer has no token for it"
    if has_unknown(clm, encoded, place):
        return "the tokenizer has no token for a part of it"
    return f"its {length} tokens and one before them do not fit the CLM's window of {clm.window}"
