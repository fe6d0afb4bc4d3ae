"""Optimizers that train whole models in few steps: Muon for hidden matrices, AdamW for the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch


def hidden_matrices(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """Return the matrices of the layers by name, without embeddings and the output head."""
    excluded = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
    head = getattr(model, "get_output_embeddings", lambda: None)()
    if head is not None:
        excluded.add(id(head.weight))
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.ndim == 2 and id(parameter) not in excluded
    }


def make_optimizers(
    model: torch.nn.Module, matrix_lr: float, other_lr: float
) -> list[torch.optim.Optimizer]:
    """Return the optimizers of all parameters of a model, at their peak learning rates."""
    matrices = hidden_matrices(model)
    others = [p for name, p in model.named_parameters() if name not in matrices]
    optimizers: list[torch.optim.Optimizer] = [
        Muon(list(matrices.values()), matrix_lr),
        torch.optim.AdamW(others, lr=other_lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers


def scale_learning_rates(optimizers: Sequence[torch.optim.Optimizer], rate: float) -> None:
    """Set each learning rate to a fraction `rate` of its peak."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * rate


def cosine_schedule(step: int, steps: int, warmup: int) -> float:
    """Return the rate of a step: linear warm-up to 1, then half a cosine down to 0.02."""
    if step < warmup:
        return (step + 1) / warmup
    decay = (step - warmup) / max(1, steps - warmup)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * decay))


class Muon(torch.optim.Optimizer):
    """SGD with Nesterov momentum, orthogonalized by five Newton-Schulz steps (Jordan et al., 2024).

    `torch.optim.Muon` iterates in bfloat16, which is 60 times slower than float32 on a CPU without
    bfloat16 instructions (measured); this implementation stays in float32.
    """

    def __init__(self, parameters: list[torch.nn.Parameter], lr: float) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": 0.95})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update each matrix by its orthogonalized momentum."""
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                buffer = self.state[parameter].setdefault("momentum", torch.zeros_like(gradient))
                buffer.lerp_(gradient, 1 - group["momentum"])
                update = _orthogonal(gradient.lerp(buffer, group["momentum"]))
                # The scale of Jordan et al. for matrices with more rows than columns.
                scale = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
                parameter.add_(update, alpha=-group["lr"] * scale)


def _orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """Return an approximation of the nearest semi-orthogonal matrix.

    The quintic's coefficients are those of Jordan et al.: they bring singular values close to 1
    fast, not exactly to 1.
    """
    # The Gram matrix is smaller on the short side.
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if is_tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    result: torch.Tensor = x.T if is_tall else x
    return result
