"""The model as erasing trains it: all parameters of the CLM, or a LoRA adapter on it."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from erasetest.clm.model import Clm
from erasetest.erasing.gradient_checkpointing import (
    disable_checkpointing,
    enable_checkpointing,
    recomputing,
)
from erasetest.erasing.lora import Adapter, Lora, add_adapter, merge_adapter
from erasetest.errors import BadInput


class TrainableModel:
    """The parameters that erasing trains, and the contexts of its forward passes."""

    def __init__(
        self, clm: Clm, lora: Lora | None, *, precision: str, checkpointing: bool, seed: int
    ) -> None:
        """Prepare a CLM for training.

        Args:
            clm: changed in place.
            lora: the adapter to train; None trains the CLM's own parameters.
            precision: as in `ErasureSettings`.
            checkpointing: whether to recompute layers in the backward pass.
            seed: of the adapter's initialization.

        Raises:
            BadInput: the weights are quantized, or the adapter's rank is above the CLM's width.
            ErasureError: the layers support no adapter, or no checkpointing.
        """
        check_trainable(clm, lora)
        self.clm, self.lora = clm, lora
        device = clm.device.type
        half = clm.stored_dtype in (torch.bfloat16, torch.float16)
        self.uses_bfloat16 = precision == "bfloat16" or (
            precision == "auto" and device == "cuda" and half and torch.cuda.is_bf16_supported()
        )
        clm.model.requires_grad_(False)
        self._peft: Any = None
        output: Any = clm.model.get_output_embeddings()
        if lora is None:
            # At these learning rates an update is smaller than half a unit in the last place of a
            # half-precision weight: train in float32, and round when saving.
            clm.model.float()
            self.head: torch.nn.Module = copy.deepcopy(output)
            clm.model.requires_grad_(True)
        else:
            self._peft = add_adapter(clm, lora, seed)
            self.head = output
        clm.model.eval()
        self.parameters = [p for p in clm.model.parameters() if p.requires_grad]
        self._layers = enable_checkpointing(clm) if checkpointing else []

    @contextlib.contextmanager
    def autocast(self) -> Iterator[None]:
        """Compute forward passes in the chosen precision."""
        with torch.autocast(self.clm.device.type, torch.bfloat16, enabled=self.uses_bfloat16):
            yield

    @contextlib.contextmanager
    def training_pass(self) -> Iterator[None]:
        """Compute a forward pass for training: in its precision, checkpointed, without dropout."""
        with recomputing(self._layers), self.autocast():
            yield

    @contextlib.contextmanager
    def without_adapter(self) -> Iterator[None]:
        """Disable the adapter, if there is one: the model is the original CLM."""
        with self._peft.disable_adapter() if self._peft else contextlib.nullcontext():
            yield

    @contextlib.contextmanager
    @torch.no_grad()
    def as_stored(self) -> Iterator[None]:
        """Give the model the weights of its checkpoint: adapter merged, rounded to stored dtype.

        The trained weights are kept in main memory meanwhile, and restored at the end.
        """
        merged = self.lora is not None and self.lora.merge
        model: Any = self.clm.model
        rounded = (self.lora is None or merged) and any(
            p.dtype != self.clm.stored_dtype for p in model.parameters()
        )
        if not merged and not rounded:
            yield
            return
        # Copied before merging, which changes weights in place.
        trained = [p.detach().to("cpu", copy=True) for p in model.parameters()]
        if merged:
            self._peft.merge_adapter()
        try:
            if rounded:
                for parameter in model.parameters():
                    parameter.copy_(parameter.to(self.clm.stored_dtype))
            yield
        finally:
            if merged:
                self._peft.unmerge_adapter()
            for parameter, weights in zip(model.parameters(), trained, strict=True):
                parameter.copy_(weights)

    def zero_grad(self) -> None:
        """Free the gradients of the trained parameters."""
        for parameter in self.parameters:
            parameter.grad = None

    def is_finite(self) -> bool:
        """Return whether all trained parameters are finite."""
        return all(bool(p.isfinite().all()) for p in self.parameters)

    def state_dict(self) -> list[torch.Tensor]:
        """Return the trained parameters, which share memory with the model."""
        return [p.detach() for p in self.parameters]

    @torch.no_grad()
    def load_state_dict(self, state: Sequence[torch.Tensor]) -> None:
        """Restore the trained parameters."""
        for parameter, weights in zip(self.parameters, state, strict=True):
            parameter.copy_(weights)

    def finish(self) -> Adapter | None:
        """End training: leave the erased CLM with plain layers, and return its adapter if any."""
        self.clm.model.requires_grad_(False)
        if self._layers:
            disable_checkpointing(self.clm.model)
        if self._peft is None:
            return None
        self.clm.model, adapter = merge_adapter(self._peft)
        return adapter


def check_trainable(clm: Clm, lora: Lora | None) -> None:
    """Refuse a CLM whose weights cannot be trained, and an adapter too large for it.

    Raises:
        BadInput: the checkpoint is quantized, or the rank is above the CLM's width.
    """
    width = clm.width
    if lora is not None and lora.rank > width:
        raise BadInput(
            f"{clm.name}: its layers are {width} wide, and a LoRA adapter of rank {lora.rank} "
            "would be no smaller: give a lower rank, or erase without one"
        )
    config = getattr(clm.model.config, "quantization_config", None)
    whole = all(p.dtype.is_floating_point and p.dtype.itemsize > 1 for p in clm.model.parameters())
    quantized = config is not None or getattr(clm.model, "is_quantized", False)
    if quantized or clm.eight_bits or not whole:
        raise BadInput(
            f"{clm.name}: its weights are quantized, and erasing has to change them: erase the "
            "checkpoint that it was made from, and quantize the result"
        )
