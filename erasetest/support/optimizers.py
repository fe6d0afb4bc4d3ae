"""Training of whole models in few steps: Muon for hidden matrices, AdamW for all else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch


def inner_matrices(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """The matrices of the layers, by name: no embeddings, and no output head."""
    outer = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
    head = getattr(model, "get_output_embeddings", lambda: None)()
    if head is not None:
        outer.add(id(head.weight))
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.ndim == 2 and id(parameter) not in outer
    }


def optimizers_of(
    model: torch.nn.Module, matrix_lr: float, other_lr: float
) -> list[torch.optim.Optimizer]:
    """Of all parameters of a model, at their peak rates."""
    matrices = inner_matrices(model)
    others = [p for name, p in model.named_parameters() if name not in matrices]
    optimizers: list[torch.optim.Optimizer] = [
        Muon(list(matrices.values()), matrix_lr),
        torch.optim.AdamW(others, lr=other_lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers


def at_rate(optimizers: Sequence[torch.optim.Optimizer], rate: float) -> None:
    """Set each learning rate to this share of its peak."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * rate


def cosine(step: int, steps: int, warmup: int) -> float:
    """A rate that rises over `warmup` steps to 1, and falls by half a cosine to 0.02."""
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalized by five Newton-Schulz steps (Jordan et al., 2024).

    torch's own Muon iterates in bfloat16, which a CPU without bfloat16 instructions runs 60 times
    slower than float32 (measured); this one stays in float32.
    """

    def __init__(self, parameters: list[torch.nn.Parameter], lr: float) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": 0.95})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Change each matrix by its orthogonalized momentum."""
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                buffer = self.state[parameter].setdefault("momentum", torch.zeros_like(gradient))
                buffer.lerp_(gradient, 1 - group["momentum"])
                update = _orthogonal(gradient.lerp(buffer, group["momentum"]))
                scale = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
                parameter.add_(update, alpha=-group["lr"] * scale)


def _orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = wide / (wide.norm() + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    turned: torch.Tensor = x.T if matrix.shape[0] > matrix.shape[1] else x
    return turned
