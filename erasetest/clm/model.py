"""The code language model that is probed, trained and evaluated, with its tokenizer."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from erasetest.clm.erasure_records import Record
from erasetest.errors import ClmError
from erasetest.samples.word_likeness import Lexicon

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_WORD_STARTS = ("Ġ", "▁")
"""Characters of vocabularies that mark the beginning of a word."""

_UNLIMITED = 1 << 30
"""Window of a model that names no maximum length."""

_CPU_BATCH_TOKENS = 4096
_GPU_BATCH_TOKENS = 16384


@dataclass(eq=False, repr=False)
class Clm:
    """A code language model that is ready to be probed or trained."""

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    family: str
    fingerprint: str
    window: int
    """Maximum number of tokens that the model reads at once."""
    batch_tokens: int
    """Maximum number of tokens per forward pass; halved whenever memory runs out."""
    stored_dtype: torch.dtype
    """Dtype of the weights in the checkpoint, in which an erased copy is stored."""
    adapter: str | None = None
    records: tuple[Record, ...] = ()
    """Erasures that the checkpoint went through, the oldest first."""
    eight_bits: bool = False
    """Whether any weight is stored in 8 bits, which is not visible from the dtype after loading."""
    dequantized: bool = False
    """Whether the weights stand for quantized ones of another file, which erasing cannot change."""
    capabilities: dict[str, bool] = field(default_factory=dict)
    """Shortcuts that were tried on this model, and whether they reproduce its plain forward pass:
    `head` (`teacher_forcing.has_separate_head`) and `cache` (`decode_sessions.shares_cache`)."""
    noise: float | None = None
    """Numerical noise of the logits, once `numerical_noise.logit_noise` has measured it."""

    @classmethod
    def from_model(
        cls,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        name: str,
        fingerprint: str = "",
        batch_tokens: int | None = None,
        adapter: str | None = None,
        stored_dtype: torch.dtype | None = None,
    ) -> Clm:
        """Return a CLM of a model and tokenizer that are in memory already.

        Args:
            model: a causal language model of transformers.
            tokenizer: its fast tokenizer.
            name: how reports and messages call it.
            fingerprint: identifies the content of its files; empty if it has none.
            batch_tokens: maximum number of tokens per forward pass; None for the device's default.
            adapter: the adapter that was merged into it.
            stored_dtype: dtype to store it in; None for the dtype that it has.
        """
        window = getattr(model.config, "max_position_embeddings", None)
        on_cpu = model.device.type == "cpu"
        return cls(
            name=name,
            model=model,
            tokenizer=tokenizer,
            family=model.config.model_type,
            fingerprint=fingerprint,
            window=window if isinstance(window, int) and window > 0 else _UNLIMITED,
            batch_tokens=batch_tokens or (_CPU_BATCH_TOKENS if on_cpu else _GPU_BATCH_TOKENS),
            stored_dtype=stored_dtype or model.dtype,
            adapter=adapter,
        )

    def __repr__(self) -> str:
        # The modules of the model alone would be 30 lines.
        dtype = str(self.dtype).removeprefix("torch.")
        return f"Clm({self.name!r}, family={self.family!r}, dtype={dtype}, device={self.device})"

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the parameters, and of the computation."""
        return self.model.dtype

    @property
    def longrope_boundary(self) -> int | None:
        """Length beyond which LongRoPE switches frequencies for a whole batch of rows.

        None if the model has no such switch. Rows on different sides of it must not share a batch:
        the longest row decides for all of them.
        """
        given = getattr(self.model.config.get_text_config(decoder=True), "rope_parameters", None)
        by_layer = [p for p in (given or {}).values() if isinstance(p, dict)] or [given or {}]
        boundaries = [
            p["original_max_position_embeddings"]
            for p in by_layer
            if p.get("rope_type") == "longrope"
        ]
        return min(boundaries, default=None)

    @property
    def vocabulary(self) -> int:
        """Number of logits of each prediction."""
        return int(self.model.config.get_text_config(decoder=True).vocab_size)

    @functools.cached_property
    def lexicon(self) -> Lexicon:
        """The words that are tokens, which are the frequent ones."""
        tokens = self.tokenizer.get_vocab()
        return Lexicon(token[1:] for token in tokens if token[:1] in _WORD_STARTS)

    @property
    def width(self) -> int:
        """Size of the hidden states."""
        return int(self.model.config.get_text_config(decoder=True).hidden_size)

    @property
    def parameters(self) -> int:
        """Number of parameters, shared ones counted once."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def start_token(self) -> int:
        """Token to put before a text whose first token is predicted: beginning or end of text.

        Raises:
            ClmError: the tokenizer has neither.
        """
        for token in (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id):
            if token is not None:
                return int(token)
        raise ClmError(f"{self.name}: the tokenizer has no beginning- or end-of-text token")

    @property
    def end_tokens(self) -> frozenset[int]:
        """Tokens that end a generation."""
        given = self.model.generation_config
        ends = given.eos_token_id if given is not None else None
        if ends is None:
            ends = self.tokenizer.eos_token_id
        if ends is None:
            return frozenset()
        return frozenset(ends if isinstance(ends, list) else [ends])

    def describe(self) -> dict[str, Any]:
        """Return the entry of a report about this CLM."""
        return {
            "name": self.name,
            "family": self.family,
            "fingerprint": self.fingerprint,
            "parameters": self.parameters,
            "dtype": str(self.dtype).removeprefix("torch."),
            "device": str(self.device),
        }
