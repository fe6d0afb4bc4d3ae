"""Whether two tokenizers encode the same samples into the same tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from erasetest.samples import SensitiveSample

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BATCH = 256
"""Samples that are encoded at once."""


def token_difference(
    one: PreTrainedTokenizerBase,
    other: PreTrainedTokenizerBase,
    samples: Sequence[SensitiveSample],
) -> str | None:
    """Return the first difference that keeps measures per token from being compared, or None.

    Tokens that only one of them has are no difference while no sample contains them: training adds
    special tokens, and GGUF files fill the vocabulary up to the size of the model's embedding.
    Tokens that a tokenizer adds at the ends of a text are not compared: they are in no secret.

    Args:
        one: a tokenizer.
        other: another one.
        samples: the samples whose measures will be compared.

    Returns:
        What differs, without content, as a clause whose subject is their vocabularies.
    """
    mine, theirs = _ordinary_tokens(one), _ordinary_tokens(other)
    differing = [number for number in mine.keys() & theirs.keys() if mine[number] != theirs[number]]
    if differing:
        return (
            f"vocabularies ({len(one)} and {len(other)} tokens) differ, first in token "
            f"{min(differing)}"
        )
    for start in range(0, len(samples), _BATCH):
        block = samples[start : start + _BATCH]
        for sample, ids, expected in zip(
            block, _encoded(one, block), _encoded(other, block), strict=True
        ):
            if ids != expected:
                sizes = "" if len(one) == len(other) else f" ({len(one)} and {len(other)} tokens)"
                return f"vocabularies{sizes} give sample {sample.id} different tokens"
    return None


def _ordinary_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[int, str]:
    """Return the tokens by number, without those that were added to the vocabulary."""
    added = tokenizer.added_tokens_decoder
    return {number: token for token, number in tokenizer.get_vocab().items() if number not in added}


def _encoded(
    tokenizer: PreTrainedTokenizerBase, samples: Sequence[SensitiveSample]
) -> list[list[int]]:
    texts = [sample.content.reveal() for sample in samples]
    ids: Any = tokenizer(
        texts, add_special_tokens=False, return_attention_mask=False, verbose=False
    )["input_ids"]
    return [list(row) for row in ids]
