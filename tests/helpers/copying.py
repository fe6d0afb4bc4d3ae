"""CLMs that copy what their prompt holds and memorized nothing, or the other way round."""

from __future__ import annotations

from typing import Any

import tiny
import torch
import transformers as hf
from transformers.modeling_outputs import CausalLMOutput

from erasetest.clm import Clm
from erasetest.samples import SensitiveSample, make_sample

CONTEXT = 2
"""Number of tokens that have to be the same for what followed them to be copied."""


MEMORY_CONTEXT = 40
"""Number of tokens that have to be those of a memorized text for the next to be recited."""


class CopyingModel(hf.PreTrainedModel):
    """Predicts the token that followed the last place where the present two tokens stood.

    With a memory, it predicts what followed the present forty tokens there, and copies nothing.
    """

    memory: dict[tuple[int, ...], int] | None = None

    config_class = hf.Qwen2Config

    def __init__(self, config: hf.Qwen2Config) -> None:
        super().__init__(config)
        self.generation_config = None
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, input_ids: torch.Tensor, **_: Any) -> CausalLMOutput:
        """Return logits: 16 for the token to copy, or for token 1 if there is nothing to copy."""
        logits = torch.zeros(*input_ids.shape, self.config.vocab_size)
        for row, ids in enumerate(input_ids.tolist()):
            after: dict[tuple[int, ...], int] = {}
            for place in range(len(ids)):
                size = CONTEXT if self.memory is None else MEMORY_CONTEXT
                key = tuple(ids[max(0, place - size + 1) : place + 1])
                known = after if self.memory is None else self.memory
                logits[row, place, known.get(key, 1)] = 16.0
                if place + 1 < len(ids):
                    after[key] = ids[place + 1]
        return CausalLMOutput(logits=logits)


def copying() -> Clm:
    """The CLM, with the tokenizer of a tiny Qwen2 and a window of 512 tokens."""
    config = hf.Qwen2Config(
        vocab_size=tiny.VOCABULARY, hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
        num_key_value_heads=1, intermediate_size=8, max_position_embeddings=512,
        bos_token_id=0, eos_token_id=0, pad_token_id=0,
    )  # fmt: skip
    return Clm.from_model(CopyingModel(config).eval(), tiny.tokenizer("qwen2"), name="copying")


def remembering(text: str) -> Clm:
    """A CLM that recites one text wherever the tokens before are those of the text."""
    clm = copying()
    ids = clm.tokenizer(text)["input_ids"]
    ends = range(MEMORY_CONTEXT, len(ids))
    clm.model.memory = {tuple(ids[end - MEMORY_CONTEXT : end]): ids[end] for end in ends}
    return clm


SECRET = "ghp_x81Lq0ZtYvB3nd"


def token_sample(before: str, secret: str = SECRET) -> SensitiveSample:
    """A sample with a token in its second last line, behind any text."""
    text = f"{before}TOKEN = '{secret}'\nprint(TOKEN)\n"
    start = len(before) + len("TOKEN = '")
    return make_sample(text, [(start, start + len(secret), "github-token")], id="s")
