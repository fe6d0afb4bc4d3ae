"""How to erase."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from erasetest.erasing.methods import DEFAULT_METHOD, PRECISIONS, check_method
from erasetest.erasing.objectives import METHODS, Weights
from erasetest.erasing.trainable import Lora
from erasetest.erasing.undo import Distillation
from erasetest.errors import BadInput
from erasetest.samples.retained import RETENTION_MARGIN

BATCH = 32

_FASTEST = 4e-4
"""No CLM is erased faster, however narrow: retained code is then lost for some steps."""


@dataclass(frozen=True, slots=True)
class ErasureSettings:
    """How to erase. Without a learning rate, the CLM's width sets it (`learning_rate`).

    Raises:
        BadInput: an unknown method, or a learning rate that is not above 0.
    """

    method: str = DEFAULT_METHOD
    lr: float | None = None
    betas: tuple[float, float] = (0.9, 0.98)
    batch: int = BATCH
    """Samples a step, and as many of retained code, or twice as many where the method asks it."""
    max_steps: int = 200
    guard: float | None = RETENTION_MARGIN
    """How far the share of retained tokens that are predicted may fall; None: as far as it will."""
    weights: Weights = field(default_factory=Weights)
    lora: Lora | None = None
    """Train an adapter, and leave the CLM's own weights as they are."""
    precision: str = "auto"
    """`float32`, or `bfloat16`: autocast, of float32 weights; `auto` is that on GPUs, where the
    checkpoint is stored in half precision."""
    checkpointing: bool = False
    """Compute layers again in the backward pass: less memory, a forward pass more."""
    healing: Distillation = field(default_factory=Distillation)
    """Of the method `lasting` alone."""
    step_tokens: int | None = None
    """Tokens of a step that are read at a time; without it all, as long as memory allows."""
    seed: int = 0

    def __post_init__(self) -> None:
        check_method(self.method)
        if self.lora is not None and METHODS[self.method].heals:
            raise BadInput(
                f"{self.method} changes every weight of the CLM, which an adapter cannot: leave "
                "--lora out"
            )
        if self.precision not in PRECISIONS:
            raise BadInput(
                f"no precision {self.precision!r}: expected one of {', '.join(PRECISIONS)}"
            )
        for name in ("batch", "max_steps", "step_tokens"):
            given = getattr(self, name)
            if given is not None and given < 1:
                raise BadInput(f"{name} must be 1 or more, got {given}")
        if self.lr is not None and not 0 < self.lr < math.inf:
            raise BadInput(f"the learning rate must be a number above 0, got {self.lr:g}")


def learning_rate(width: int, method: str, lora: Lora | None = None) -> float:
    """The paper's 3e-6 at the width of its largest CLM (3,584), scaled up for narrower ones.

    Adam's step in weight space has to grow as layers shrink; the exponent was chosen on the demo
    CLMs of width 256 (benchmarks). A method takes its own multiple of that, and a larger one of an
    adapter.
    """
    whole = 3e-6 * math.pow(3584 / width, 1.5)
    if lora is not None:
        return min(10 * _FASTEST, METHODS[method].adapter_rate * whole)
    return min(_FASTEST, METHODS[method].rate * whole)
