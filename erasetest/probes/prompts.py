"""Prompts that a secret is asked for with: several, and none that holds a copy of it.

What a CLM memorized answers to many prompts, other text to none ("multi-prefix memorization",
arXiv 2511.20799), and nobody can know which prompts an attacker tries. So a secret is measured on

- `longest`: all the text before it that fits the window;
- `last-64`: the last 64 tokens of that;
- `line`: its own line before it.

A CLM copies what its prompt holds, so a prompt with the secret in it is no evidence of memory.
Where the text before a secret holds it, in whatever form, `longest` is replaced by

- `after-copy`: the text that begins after the last copy, if at least `MIN_TOKENS` are left of it;
- `copy-replaced`: the whole text before it, with the copies replaced by copies of another text;
- `first-occurrence`: the text before the first place that has the secret. A word counts there only
  between the same two characters as the secret: code has words for other reasons.

The worst of all decides. The unchanged text is measured beside them, and compared with copy
controls: the same text with something else in the place of the secret and of its copies. What the
CLM makes of them is copying, not memory (`probes.copying`).
"""

from __future__ import annotations

import bisect
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from erasetest.clm import Clm, EncodedSample, encode
from erasetest.probes.prompt_names import AFTER, FIRST, LAST, LINE, LONGEST, PROMPTS, REPLACED
from erasetest.probes.token_spans import TokenSpan, has_unknown, span_in
from erasetest.samples import Secret, SensitiveSample, make_sample
from erasetest.samples.copies import Copies, CopySearch, without_copies
from erasetest.samples.word_likeness import similar_texts

LAST_TOKENS = 64
"""Number of tokens of the prompt `last-64`."""

MIN_TOKENS = 32
"""Number of tokens from which the text after the last copy is a prompt."""

MIN_OTHER_TOKENS = 8
"""Number of tokens besides copies from which the text before a secret is a prompt."""


@dataclass(slots=True, repr=False)
class SecretPrompts:
    """The prompts of one secret, each with the tokens of the secret after it."""

    cue: float
    """Share of the secret that its text holds before it (`samples.copies`)."""
    clean: dict[str, TokenSpan] = field(default_factory=dict)
    """By name: those that hold no copy. The worst decides."""
    copied: CopiedSecret | None = None
    """The secret in its unchanged text; None if that holds no copy of it."""
    problem: str | None = None
    """Why there is no prompt to measure it with."""

    @property
    def with_copies(self) -> TokenSpan | None:
        """The secret after the unchanged text; None if that holds no copy of it."""
        return self.copied.span if self.copied is not None else None


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
    copied: list[SecretPrompts] = []
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
            copies = search.find(secret.start, secret.end, secret.kind, visible)
            prompts = SecretPrompts(copies.cue)
            of_sample.append(prompts)
            if copies.spans:
                prompts.copied = CopiedSecret(span, copies, visible, seed)
                copied.append(prompts)
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
    # Each begins after the one before it: otherwise they are the same.
    previous = at - longest.first + tokens.leading
    for name, begin in begins.items():
        if name in names and previous < begin < at:
            owner = (longest.sample, longest.secret)
            span = span_in(clm, longest.text, tokens, longest.place, owner, begin)
            if span is not None:
                prompts.clean[name] = span
                previous = begin


@dataclass(slots=True, repr=False)
class CopiedSecret:
    """A secret whose text holds copies of it."""

    span: TokenSpan
    """The secret after the unchanged text."""
    copies: Copies
    visible: int
    """First code point that the CLM reads."""
    seed: int

    @property
    def _secret(self) -> Secret:
        return self.span.text.secrets[self.span.place]

    @property
    def _owner(self) -> tuple[int, int]:
        return self.span.sample, self.span.secret

    def after_the_last(self, clm: Clm) -> TokenSpan | None:
        """Return the span after the tokens that begin after the last copy, if they suffice."""
        span = self.span
        begin = bisect.bisect_left(span.encoded.text_starts, self.copies.spans[-1][1])
        if span.encoded.secrets[span.place].first - begin < MIN_TOKENS:
            return None
        return span_in(clm, span.text, span.encoded, span.place, self._owner, begin)

    def count_other_tokens(self) -> int:
        """Return the number of tokens before the secret that hold no part of a copy."""
        starts = self.span.encoded.text_starts
        end = self.span.encoded.secrets[self.span.place].first
        within = sum(
            bisect.bisect_left(starts, last, hi=end)
            - bisect.bisect_left(starts, max(first, self.visible), hi=end)
            for first, last in self.copies.spans
        )
        return self.span.first - self.span.encoded.leading - within

    def other_texts(self, clm: Clm) -> dict[str, ChangedText]:
        """Return texts whose prompts hold no copy, by name of the prompt."""
        content, secret = self.span.text.content.reveal(), self._secret
        other, found = self._drawn(clm, "prompt"), {}
        if self.count_other_tokens() >= MIN_OTHER_TOKENS:
            found[REPLACED] = self._changed(secret.start, other)
        first = _first_occurrence(content, secret)
        if first is not None:
            found[FIRST] = self._changed(first, other)
        return {name: text for name, text in found.items() if text is not None}

    def control(self, clm: Clm, number: int) -> ChangedText | None:
        """Return the text with something else in the place of the secret and of its copies.

        None if its copies cannot be replaced.
        """
        other = self._drawn(clm, f"control {number}")
        return self._changed(self._secret.start, other, replace_secret=True)

    def _changed(
        self, start: int, other: str, *, replace_secret: bool = False
    ) -> ChangedText | None:
        """Return the text with the copies before the secret at `start` replaced."""
        content, secret = self.span.text.content.reveal(), self._secret
        end = start + secret.end - secret.start
        # As much of the text as is read of the whole: all of a long file would take long.
        begin = max(0, start - (secret.start - self.visible))
        clean = without_copies(content, start, end, secret.kind, other, begin)
        if clean is None:
            return None
        if replace_secret:
            clean = clean[:start] + other + clean[end:]
        text = make_sample(clean, [(start, end, secret.kind)], id=self.span.text.id)
        return ChangedText(text, begin)

    def _drawn(self, clm: Clm, purpose: str) -> str:
        """Return a random text like the secret."""
        text, kind = self._secret.text.reveal(), self._secret.kind
        rng = random.Random(f"{self.seed} {self.span.text.id} {self.span.place} {purpose}")
        return next(iter(similar_texts(text, kind, clm.lexicon, rng, 1)), text)


@dataclass(frozen=True, slots=True, repr=False)
class ChangedText:
    """A text with something else in the place of copies of a secret."""

    text: SensitiveSample
    begin: int
    """First code point that may be read: copies before it stand as they were."""

    def span(self, clm: Clm, tokens: EncodedSample, owner: tuple[int, int]) -> TokenSpan | None:
        """Return the span of the secret; None as in `span_in`."""
        # Its tokens may be fewer than those of the unchanged text, so that more of it would fit.
        begin = bisect.bisect_left(tokens.text_starts, self.begin)
        return span_in(clm, self.text, tokens, 0, owner, begin)


def _first_occurrence(content: str, secret: Secret) -> int | None:
    """Return where a secret occurs first before it, as a word; None if it does not.

    Nor if no text stands before that, which could ask for it. Letters alone are a word that may
    stand in code for other reasons, as the name of a module does: they count where they stand
    between the same characters as the secret.
    """
    text = secret.text.reveal()
    pattern = re.compile(rf"(?<![^\W_]){re.escape(text)}(?![^\W_])")
    sides = content[secret.start - 1 : secret.start], content[secret.end : secret.end + 1]
    for match in pattern.finditer(content, 0, secret.start):
        first, last = match.span()
        if not content[:first].strip():
            return None
        if not text.isalpha() or sides == (content[first - 1 : first], content[last : last + 1]):
            return first
    return None


def _add_other_prompts(clm: Clm, every: Sequence[SecretPrompts]) -> None:
    """Add the prompts without copies of secrets whose texts hold copies."""
    copied = [(prompts, prompts.copied) for prompts in every if prompts.copied is not None]
    owners = [
        (prompts, one.span, name, changed)
        for prompts, one in copied
        for name, changed in one.other_texts(clm).items()
    ]
    encoded = encode(clm, [changed.text for *_, changed in owners])
    for prompts, one in copied:
        after = one.after_the_last(clm)
        if after is not None:
            prompts.clean[AFTER] = after
    for (prompts, unchanged, name, changed), tokens in zip(owners, encoded, strict=True):
        span = changed.span(clm, tokens, (unchanged.sample, unchanged.secret))
        if span is not None:
            prompts.clean[name] = span
    for prompts, one in copied:
        if not prompts.clean:
            advice = "the CLM's window has no room for more" if one.visible else "give it more"
            prompts.problem = (
                "the text before it holds it, and only "
                f"{one.count_other_tokens()} tokens besides: {advice} of its file"
            )


def _why_unmeasurable(clm: Clm, encoded: EncodedSample, place: int) -> str:
    """Return why a secret has no span."""
    length = len(encoded.secrets[place])
    if length == 0:
        return "the tokenizer has no token for it"
    if has_unknown(clm, encoded, place):
        return "the tokenizer has no token for a part of it"
    return f"its {length} tokens and one before them do not fit the CLM's window of {clm.window}"
