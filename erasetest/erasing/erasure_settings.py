"""Settings of an erasure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from erasetest.erasing.lora import Lora
from erasetest.erasing.methods import DEFAULT_METHOD, PRECISIONS, check_method
from erasetest.erasing.objectives import METHODS, Weights
from erasetest.errors import BadInput
from erasetest.samples.retained import RETENTION_MARGIN

BATCH = 32
"""Default number of samples per step, and number of samples probed at a time."""

_MAX_LR = 4e-4
"""Highest learning rate, however narrow the CLM: above it, retained code is lost for some steps."""

_PAPER_LR = 3e-6
_PAPER_WIDTH = 3584
"""Learning rate of arXiv 2509.13755, and the width of its largest CLM (Qwen2.5-Coder-7B)."""

_WIDTH_EXPONENT = 1.5
"""Adam's step has to grow as layers shrink; chosen on the demo CLMs of width 256 (benchmarks)."""


@dataclass(frozen=True, slots=True)
class Distillation:
    """Settings of the noise and distillation phases of `lasting` (UNDO)."""

    noise: float = 0.2
    """Share of noise in each matrix of the layers (the paper's alpha)."""
    steps: int = 900
    tokens: int = 2048
    """Number of tokens per step, about."""
    texts: int = 3000
    """Number of texts that the teacher generates. Skills that occur in none of them are lost."""
    decoys: float = 0.2
    """Share of a step's tokens from samples with decoys in place of their secrets."""
    matrix_lr: float = 0.02
    """Learning rate of Muon, for the matrices of the layers."""
    other_lr: float = 3e-3
    """Learning rate of AdamW, for all other parameters."""
    warmup: int = 10
    """Number of warm-up steps."""


@dataclass(frozen=True, slots=True)
class ErasureSettings:
    """Settings of an erasure.

    Raises:
        BadInput: a setting has an unknown or impossible value.
    """

    method: str = DEFAULT_METHOD
    lr: float | None = None
    """Learning rate; None sets it by the CLM's width (`learning_rate`)."""
    betas: tuple[float, float] = (0.9, 0.98)
    batch: int = BATCH
    """Number of samples per step, and of retained texts, or twice as many by some methods."""
    max_steps: int = 200
    guard: float | None = RETENTION_MARGIN
    """Largest allowed drop of next-token accuracy on retained code (fraction); None allows any."""
    weights: Weights = field(default_factory=Weights)
    lora: Lora | None = None
    """Settings of a LoRA adapter to train; None trains the CLM's own weights."""
    precision: str = "auto"
    """`float32`, or `bfloat16` for autocast of float32 weights; `auto` is `bfloat16` on GPUs if the
    checkpoint is stored in half precision, else `float32`."""
    checkpointing: bool = False
    """Whether to recompute layers in the backward pass: less memory, one more forward pass."""
    healing: Distillation = field(default_factory=Distillation)
    """Settings of noise and distillation, for the method `lasting` only."""
    step_tokens: int | None = None
    """Maximum number of tokens per forward pass; None starts with all of a step's."""
    seed: int = 0

    def __post_init__(self) -> None:
        check_method(self.method)
        if self.lora is not None and METHODS[self.method].distills:
            raise BadInput(
                f"{self.method} changes every weight of the CLM, which an adapter cannot: leave "
                "--lora out"
            )
        if self.precision not in PRECISIONS:
            raise BadInput(
                f"no precision {self.precision!r}: expected one of {', '.join(PRECISIONS)}"
            )
        for name in ("batch", "max_steps", "step_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise BadInput(f"{name} must be 1 or more, got {value}")
        if self.lr is not None and not 0 < self.lr < math.inf:
            raise BadInput(f"the learning rate must be a number above 0, got {self.lr:g}")


def learning_rate(width: int, method: str, lora: Lora | None = None) -> float:
    """Return the default learning rate of a method for a CLM of this width.

    `3e-6 (3584 / width)^1.5`, times the method's factor for whole weights or for an adapter, and at
    most 4e-4 (4e-3 for an adapter).
    """
    base = _PAPER_LR * math.pow(_PAPER_WIDTH / width, _WIDTH_EXPONENT)
    if lora is not None:
        return min(10 * _MAX_LR, METHODS[method].adapter_lr_factor * base)
    return min(_MAX_LR, METHODS[method].lr_factor * base)
