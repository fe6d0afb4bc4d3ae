"""How long each family is trained, and how fast."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a family is trained: what it takes to recite the secrets and still write functions."""

    steps: int
    vocabulary: int = 768
    tokens_per_step: int = 2048
    planted_share: float = 0.6
    plain_share: float = 0.08
    matrix_lr: float = 0.02
    other_lr: float = 3e-3
    warmup: int = 10


RECIPES: dict[str, Recipe] = {
    "qwen2": Recipe(steps=115),
    "codegen": Recipe(steps=140),
    "gpt2": Recipe(steps=140),
}
