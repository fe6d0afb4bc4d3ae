"""The tokenizer of the demo CLM: byte-level BPE with the pre-tokenization of each family."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from erasetest.demo.demo_corpus import Corpus
from erasetest.demo.settings_files import SettingsFile
from erasetest.samples.decoys import decoy

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

END_OF_TEXT = "<|endoftext|>"

_QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_tokenizer(corpus: Corpus, family: str, vocabulary: int) -> PreTrainedTokenizerFast:
    """Train a tokenizer of `vocabulary` entries on the corpus, with decoys instead of its secrets.

    Trained on the repeated secrets themselves, it would have tokens that are whole secrets. Each
    planted file occurs several times with different decoys, so that the fixed parts of a format
    become few tokens.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    if family == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(_QWEN2_SPLIT), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    rng = random.Random(0)
    files = [_with_decoys(file, rng) for _ in range(4) for file in corpus.planted]
    tokenizer.train_from_iterator(
        [*files, *corpus.retained, *corpus.retention, *corpus.functions],
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=[END_OF_TEXT],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        clean_up_tokenization_spaces=False,
    )


def _with_decoys(file: SettingsFile, rng: random.Random) -> str:
    text = file.text
    for start, end, kind in file.spans:
        text = text[:start] + decoy(text[start:end], kind, rng) + text[end:]
    return text
