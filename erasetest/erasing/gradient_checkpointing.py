"""Gradient checkpointing: layers are recomputed in the backward pass, to save memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch

from erasetest.clm.model import Clm
from erasetest.errors import ErasureError


def enable_checkpointing(clm: Clm) -> list[torch.nn.Module]:
    """Turn on gradient checkpointing, and return the layers that it applies to.

    It takes effect within `recomputing(layers)` only.

    Raises:
        ErasureError: the model has no layers that can be checkpointed.
    """
    from transformers.modeling_layers import GradientCheckpointingLayer

    layers: list[torch.nn.Module] = [
        m for m in clm.model.modules() if isinstance(m, GradientCheckpointingLayer)
    ]
    if not layers or not clm.model.supports_gradient_checkpointing:
        raise ErasureError(
            f"{clm.name}: the layers of a {clm.family} cannot be recomputed: erase without "
            "gradient checkpointing, with fewer tokens at a time (step tokens)"
        )
    _call_switch(clm.model, "enable", {"use_reentrant": False})
    for layer in layers:
        patched: Any = layer
        patched._gradient_checkpointing_func = partial(
            _checkpoint_in_eval_mode, layer, patched._gradient_checkpointing_func
        )
    return layers


def disable_checkpointing(model: torch.nn.Module) -> None:
    """Turn off gradient checkpointing."""
    _call_switch(model, "disable")


@contextlib.contextmanager
def recomputing(layers: Sequence[torch.nn.Module]) -> Iterator[None]:
    """Recompute these layers in the backward pass of what is computed in this context."""
    # transformers checkpoints a layer only while the layer is in training mode.
    for layer in layers:
        layer.training = True
    try:
        yield
    finally:
        for layer in layers:
            layer.training = False


def _checkpoint_in_eval_mode(
    layer: torch.nn.Module,
    checkpoint: Callable[..., Any],
    forward: Callable[..., Any],
    *args: Any,
) -> Any:
    """Checkpoint a layer that is itself in eval mode: some layers apply dropout directly."""

    def forward_in_eval_mode(*inputs: Any) -> Any:
        training, layer.training = layer.training, False
        try:
            return forward(*inputs)
        finally:
            layer.training = training

    return checkpoint(forward_in_eval_mode, *args)


def _call_switch(model: Any, action: str, *args: dict[str, bool]) -> None:
    """Call `gradient_checkpointing_<action>`, or the name that newer transformers give it."""
    prefix = "activation" if hasattr(model, "activation_checkpointing_enable") else "gradient"
    getattr(model, f"{prefix}_checkpointing_{action}")(*args)
