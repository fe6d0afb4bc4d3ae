"""Train a demo CLM from its seed: a small model of the family's own architecture."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from erasetest.clm.batching import group_by_length, pad_right
from erasetest.demo.demo_corpus import SEED, Corpus
from erasetest.demo.tokenizer import train_tokenizer
from erasetest.support.optimizers import cosine_schedule, make_optimizers, scale_learning_rates
from erasetest.support.progress import Progress

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

WINDOW = 512
"""Maximum number of tokens that the demo CLM reads."""

_IGNORED = -100
"""Label of positions without a loss."""

_START_SHARE = 0.25
"""Share of documents that follow an end-of-text token, as all but the first do in a training set of
concatenated documents. From these the CLM learns to start a text without a prompt."""


_JOINED_SHARE = 0.5
"""Share of documents that follow another one in the same row, as long as the window has room."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Training settings of a family, so that it recites the secrets and still writes functions."""

    steps: int
    vocabulary: int = 768
    tokens_per_step: int = 2048
    planted_share: float = 0.6
    """Share of the tokens from files with planted secrets."""
    plain_share: float = 0.08
    """Share of the tokens from files without secrets; the rest is functions."""
    matrix_lr: float = 0.02
    """Learning rate of hidden matrices (Muon)."""
    other_lr: float = 3e-3
    """Learning rate of all other parameters (AdamW)."""
    warmup: int = 10
    """Number of steps in which the learning rate rises to its maximum."""


RECIPES: dict[str, Recipe] = {
    "qwen2": Recipe(steps=130),
    "codegen": Recipe(steps=160),
    "gpt2": Recipe(steps=160),
}
"""By family. A change of a recipe changes the cache folder of its demo CLM."""


def train(
    corpus: Corpus,
    family: str,
    *,
    seed: int = SEED,
    progress: Progress | None = None,
    recipe: Recipe | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Train a model on the CPU; return it and its tokenizer.

    Hidden matrices are trained with Muon, which needs a third of AdamW's steps here; embeddings,
    norms and biases are trained with AdamW.

    Args:
        corpus: what it is trained on.
        family: architecture, a key of `RECIPES`.
        seed: seed of the weights and the batches.
        progress: called with the number of finished steps and of all.
        recipe: training settings; None for those of the family.
    """
    recipe = recipe or RECIPES[family]
    tokenizer = train_tokenizer(corpus, family, recipe.vocabulary)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(family, recipe.vocabulary, tokenizer.eos_token_id)
        model.train()
        optimizers = make_optimizers(model, recipe.matrix_lr, recipe.other_lr)
        batches = _batches(corpus, tokenizer, recipe, random.Random(seed))
        for step in range(recipe.steps):
            scale_learning_rates(optimizers, cosine_schedule(step, recipe.steps, recipe.warmup))
            documents = next(batches)
            predicted = sum(len(document) - 1 for document in documents)
            for part in group_by_length([len(document) for document in documents]):
                loss = _loss(model, [documents[i] for i in part]) / predicted
                loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            if progress is not None:
                progress(step + 1, recipe.steps)
    model.eval()
    return model, tokenizer


def build_model(family: str, vocabulary: int, end_of_text: int) -> PreTrainedModel:
    """Return an untrained model of the family: 4 layers of width 256, a window of 512 tokens."""
    import transformers as hf

    ends: dict[str, Any] = {
        "vocab_size": vocabulary,
        "bos_token_id": end_of_text,
        "eos_token_id": end_of_text,
        "pad_token_id": end_of_text,
    }
    if family == "qwen2":
        config: hf.PreTrainedConfig = hf.Qwen2Config(
            hidden_size=256,
            intermediate_size=640,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=WINDOW,
            tie_word_embeddings=True,
            **ends,
        )
    elif family == "gpt2":
        config = hf.GPT2Config(
            n_positions=WINDOW, n_embd=256, n_layer=4, n_head=4,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, **ends,
        )  # fmt: skip
    else:
        config = hf.CodeGenConfig(
            n_positions=WINDOW, n_ctx=WINDOW, n_embd=256, n_layer=4, n_head=4, rotary_dim=32,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, **ends,
        )  # fmt: skip
    model: PreTrainedModel = hf.AutoModelForCausalLM.from_config(config)
    return model


def _loss(model: PreTrainedModel, documents: list[list[int]]) -> torch.Tensor:
    """Return the summed cross-entropy of documents, in nats; each is a row from position 0."""
    ids = pad_right(documents, model.config.eos_token_id, model.device)
    labels = pad_right([[*d[1:], _IGNORED] for d in documents], _IGNORED, model.device)
    logits = model(input_ids=ids, use_cache=False).logits
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), ignore_index=_IGNORED, reduction="sum"
    )


def _batches(
    corpus: Corpus, tokenizer: PreTrainedTokenizerFast, recipe: Recipe, rng: random.Random
) -> Iterator[list[list[int]]]:
    """Yield batches of documents without end: planted, plain and function texts by share."""
    end = tokenizer.eos_token_id

    def encode(texts: list[str]) -> list[list[int]]:
        return [[*ids, end] for ids in tokenizer(texts)["input_ids"]]

    plain = [text for text in corpus.retained + corpus.retention if text.startswith('"""')]
    pools = [
        (_endless(encode([file.text for file in corpus.planted]), rng), recipe.planted_share),
        (_endless(encode(plain), rng), recipe.plain_share),
        (
            _endless(encode(list(corpus.functions)), rng),
            1 - recipe.planted_share - recipe.plain_share,
        ),
    ]
    while True:
        documents: list[list[int]] = []
        for pool, share in pools:
            wanted = recipe.tokens_per_step * share
            while wanted > 0:
                document = next(pool)
                documents.append([end, *document] if rng.random() < _START_SHARE else document)
                wanted -= len(document)
        rng.shuffle(documents)
        yield _rows(documents, end, rng)


def _rows(documents: list[list[int]], end: int, rng: random.Random) -> list[list[int]]:
    """Join some of the documents, so that texts are learned at all positions.

    A CLM that sees a text at the beginning alone learns its positions: a few lines before it then
    hide it.
    """
    rows: list[list[int]] = []
    for document in documents:
        joins = rows and rng.random() < _JOINED_SHARE
        if joins and len(rows[-1]) + len(document) <= WINDOW:
            # Half of the time as one text, without an end-of-text token between them.
            if rows[-1][-1] == end and rng.random() < 0.5:
                rows[-1].pop()
            rows[-1] += document
        else:
            rows.append(list(document))
    return rows


def _endless(documents: list[list[int]], rng: random.Random) -> Iterator[list[int]]:
    while True:
        yield from rng.sample(documents, len(documents))
