"""Which tokenizers give samples the same tokens."""

from __future__ import annotations

import pytest
import tiny
from transformers import PreTrainedTokenizerFast

from erasetest.clm.token_comparison import token_difference
from erasetest.demo.demo_corpus import Corpus
from erasetest.demo.tokenizer import train_tokenizer


def _trained(vocabulary: int = tiny.VOCABULARY) -> PreTrainedTokenizerFast:
    return train_tokenizer(Corpus((), (), tiny.CODE, (), (), ()), "qwen2", vocabulary)


def test_a_tokenizer_is_like_itself() -> None:
    """Also after it was saved and trained anew."""
    assert token_difference(_trained(), tiny.tokenizer("qwen2"), tiny.PLANTED) is None


def test_added_tokens_are_no_difference() -> None:
    """A chat format adds some, and renames none."""
    more = _trained()
    more.add_special_tokens({"pad_token": "[PAD]", "additional_special_tokens": ["<|im_start|>"]})
    assert len(more) == tiny.VOCABULARY + 2
    assert token_difference(more, _trained(), tiny.PLANTED) is None
    assert token_difference(_trained(), more, tiny.PLANTED) is None


def test_padding_of_a_gguf_file_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its vocabulary is as large as the model's embedding."""
    padded = _trained()
    known = padded.get_vocab()
    fill = {f"[PAD{number}]": number for number in range(len(known), len(known) + 9)}
    monkeypatch.setattr(padded, "get_vocab", lambda: known | fill)
    assert token_difference(padded, _trained(), tiny.PLANTED) is None


def test_another_vocabulary_is_named_with_both_sizes() -> None:
    """And the first token that differs, by number."""
    difference = token_difference(_trained(300), _trained(), tiny.PLANTED)
    assert difference == "vocabularies (300 and 320 tokens) differ, first in token 300"
    other = token_difference(tiny.tokenizer("gpt2"), tiny.tokenizer("qwen2"), tiny.PLANTED)
    assert other is not None
    assert "first in token" in other


def test_the_same_vocabulary_may_split_otherwise() -> None:
    """Only the samples decide, each of them, whatever the batch."""
    from tokenizers.normalizers import Lowercase

    lower = _trained()
    lower.backend_tokenizer.normalizer = Lowercase()
    samples = [*tiny.RETAINED[4:] * 300, *tiny.PLANTED[:1]]
    difference = token_difference(lower, _trained(), samples)
    assert difference == (
        "tokenizers (320 and 320 tokens) split sample planted-0 into different tokens"
    )
    assert token_difference(lower, _trained(), samples[:-1]) is None


def test_tokens_at_the_ends_of_a_text_are_no_difference() -> None:
    """No secret holds them."""
    from tokenizers.processors import TemplateProcessing

    begun = _trained()
    begun.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
    )
    assert begun("x")["input_ids"][0] == 0
    assert token_difference(begun, _trained(), tiny.PLANTED) is None
