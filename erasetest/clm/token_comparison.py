"""Whether two tokenizers encode the same samples into the same tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from typing import TYPE_CHECKING, Any

from erasetest.samples import SensitiveSample

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PADDING = re.compile(r"\[PAD\d+\]")
"""Tokens that fill the vocabulary of a GGUF file up to the size of the model's embedding."""

_BATCH = 256
"""Samples that are encoded at once."""


def token_difference(
    one: PreTrainedTokenizerBase,
    other: PreTrainedTokenizerBase,
    samples: Sequence[SensitiveSample],
) -> str | None:
    """Return the first difference that keeps measures per token from being compared, or None.

    The vocabularies must be the same except for added tokens, such as those of a chat format, and
    for the padding of GGUF files. Tokens that a tokenizer adds at the ends of a text are not
    compared: they are in no secret.

    Args:
        one: a tokenizer.
        other: another one.
        samples: the samples whose measures will be compared.

    Returns:
        What differs, without content, as a clause without its first word, "their".
    """
    added = one.added_tokens_decoder.keys() | other.added_tokens_decoder.keys()
    mine, theirs = _vocabulary(one, added), _vocabulary(other, added)
    differing = [n for n in mine.keys() | theirs.keys() if mine.get(n) != theirs.get(n)]
    sizes = f"({len(one)} and {len(other)} tokens)"
    if differing:
        return f"vocabularies {sizes} differ, first in token {min(differing)}"
    for start in range(0, len(samples), _BATCH):
        block = samples[start : start + _BATCH]
        for sample, ids, expected in zip(
            block, _encoded(one, block), _encoded(other, block), strict=True
        ):
            if ids != expected:
                return f"tokenizers {sizes} split sample {sample.id} into different tokens"
    return None


def _vocabulary(tokenizer: PreTrainedTokenizerBase, added: Set[int]) -> dict[int, str]:
    """Return the tokens by number, without added ones and padding."""
    return {
        number: token
        for token, number in tokenizer.get_vocab().items()
        if number not in added and not _PADDING.fullmatch(token)
    }


def _encoded(
    tokenizer: PreTrainedTokenizerBase, samples: Sequence[SensitiveSample]
) -> list[list[int]]:
    texts = [sample.content.reveal() for sample in samples]
    ids: Any = tokenizer(
        texts, add_special_tokens=False, return_attention_mask=False, verbose=False
    )["input_ids"]
    return [list(row) for row in ids]
