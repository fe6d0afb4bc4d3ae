"""A demo CLM that copies what its prompt contains, and has memorized nothing.

Its weights are not trained but written: an induction circuit (Olsson et al., 2022, arXiv
2209.11895) in two layers of GPT-2. The heads of the first layer read the two tokens before each
token. The head of the second layer looks for places whose two tokens before are the present two,
and outputs the tokens there. Trained, such a circuit needs millions of tokens.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

import torch

from erasetest.demo.demo_corpus import Corpus
from erasetest.demo.tokenizer import train_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

VOCABULARY = 768
WINDOW = 512
CODE = 128
"""Numbers that encode a token."""
FREQUENCIES = 64
"""Numbers of frequencies that encode a position, by sine and cosine."""
WIDTH = 4 * 2 * CODE
"""Token, the one before it, the one before that, and the position; each also negated, so that the
mean of a hidden state is 0 and its norm is constant, and layer normalization only scales it."""
HEADS = 4
"""Their size is that of two token codes."""
SHARPNESS = 40.0
"""Difference of attention logits between a full match and none."""
STRENGTH = 6.0
"""Weight of the copied token against the present one in the output."""

_TOKEN, _ONE_BEFORE, _TWO_BEFORE, _POSITION = (2 * CODE * n for n in range(4))


def copying_clm(corpus: Corpus, seed: int) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Return the model and its tokenizer.

    Args:
        corpus: the tokenizer is trained on it.
        seed: seed of the token codes.
    """
    import transformers as hf

    tokenizer = train_tokenizer(corpus, "gpt2", VOCABULARY)
    end = tokenizer.eos_token_id
    config = hf.GPT2Config(
        vocab_size=VOCABULARY, n_positions=WINDOW, n_embd=WIDTH, n_layer=2, n_head=HEADS,
        n_inner=8, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        bos_token_id=end, eos_token_id=end, pad_token_id=end,
    )  # fmt: skip
    model: PreTrainedModel = hf.GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for module in model.modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.weight.fill_(1.0)
        _write(model, random.Random(seed))
    return model, tokenizer


def _write(model: PreTrainedModel, rng: random.Random) -> None:
    body: Any = model.transformer
    codes = torch.tensor(
        [[rng.choice((-1.0, 1.0)) for _ in range(CODE)] for _ in range(VOCABULARY)]
    )
    body.wte.weight[:, _TOKEN : _TOKEN + 2 * CODE] = torch.cat([codes, -codes], 1)
    body.wpe.weight[:, _POSITION:] = torch.cat([_positions(), -_positions()], 1)
    first, second = body.h[0].attn, body.h[1].attn
    # The standard deviation of a hidden state: after the first layer, two more codes are in it.
    before = math.sqrt((2 * CODE + 2 * FREQUENCIES) / WIDTH)
    after = math.sqrt((6 * CODE + 2 * FREQUENCIES) / WIDTH)
    size = WIDTH // HEADS
    for head, (shift, target) in enumerate([(1, _ONE_BEFORE), (2, _TWO_BEFORE)]):
        scale = SHARPNESS * before**2 * math.sqrt(size) / _gap(shift)
        place = slice(head * size, head * size + 2 * FREQUENCIES)
        rotated = _rotation(shift) * scale
        first.c_attn.weight[_POSITION : _POSITION + 2 * FREQUENCIES, place] = rotated
        _select(first.c_attn.weight, WIDTH + head * size, _POSITION, 2 * FREQUENCIES, 1.0)
        _select(first.c_attn.weight, 2 * WIDTH + head * size, _TOKEN, CODE, before)
        _output(first.c_proj.weight, head * size, target, 1.0)
    scale = SHARPNESS * after**2 * math.sqrt(size) / CODE
    # The present token with the one before each place, and the one before with the second.
    for query, key, at in ((_TOKEN, _ONE_BEFORE, 0), (_ONE_BEFORE, _TWO_BEFORE, CODE)):
        _select(second.c_attn.weight, at, query, CODE, scale)
        _select(second.c_attn.weight, WIDTH + at, key, CODE, 1.0)
    _select(second.c_attn.weight, 2 * WIDTH, _TOKEN, CODE, after)
    _output(second.c_proj.weight, 0, _TOKEN, STRENGTH)


def _positions() -> torch.Tensor:
    """Return a code for each position: cosines, then sines."""
    angles = torch.arange(WINDOW).unsqueeze(1) * _frequencies()
    return torch.cat([angles.cos(), angles.sin()], 1)


def _frequencies() -> torch.Tensor:
    """Return frequencies between 0 and pi; no two positions of the window have similar codes."""
    golden = (math.sqrt(5) - 1) / 2
    return math.pi * (torch.arange(1, FREQUENCIES + 1) * golden).frac()


def _rotation(shift: int) -> torch.Tensor:
    """Return the matrix that takes the code of a position to that of one `shift` before it."""
    angles = _frequencies() * shift
    cos, sin = torch.diag(angles.cos()), torch.diag(angles.sin())
    # cos(a - s) = cos a cos s + sin a sin s; sin(a - s) = sin a cos s - cos a sin s.
    return torch.cat([torch.cat([cos, -sin], 1), torch.cat([sin, cos], 1)], 0)


def _gap(shift: int) -> float:
    """Return by how much the right position agrees better with a rotated code than any other."""
    codes = _positions()
    agreement = codes[shift] @ _rotation(shift) @ codes.T
    return float(agreement[0] - agreement[1:].max())


def _select(weight: torch.Tensor, column: int, row: int, size: int, scale: float) -> None:
    """Let `size` columns read as many numbers of the hidden state."""
    weight[row : row + size, column : column + size] = scale * torch.eye(size)


def _output(weight: torch.Tensor, row: int, target: int, scale: float) -> None:
    """Let a head write a token code, and its negation, to a place of the hidden state."""
    eye = scale * torch.eye(CODE)
    weight[row : row + CODE, target : target + 2 * CODE] = torch.cat([eye, -eye], 1)
