"""What erasing trains: every parameter of the CLM, or a low-rank adapter beside them."""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from erasetest.clm.load import Clm
from erasetest.errors import BadInput, ErasureError
from erasetest.support.extras import require


@dataclass(frozen=True, slots=True)
class Lora:
    """A low-rank adapter (Hu et al., 2022), on every layer that takes one (`adaptable`).

    Raises:
        BadInput: the rank is below 1.
        MissingExtra: PEFT is not installed.
    """

    rank: int = 16
    scale: float = 2.0
    """alpha / rank."""
    merge: bool = True
    """Whether the checkpoint is the CLM with the adapter merged into it, or the adapter alone."""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise BadInput(f"the rank of a LoRA adapter must be 1 or more, got {self.rank}")
        require("peft", "lora", "erasing by a LoRA adapter")


@dataclass(frozen=True, slots=True)
class Adapter:
    """A trained adapter, apart from the CLM."""

    config: Any
    weights: dict[str, torch.Tensor]

    def write(self, folder: Path) -> None:
        """As PEFT reads it."""
        from safetensors.torch import save_file

        self.config.save_pretrained(str(folder))
        save_file(self.weights, folder / "adapter_model.safetensors", {"format": "pt"})


class TrainableModel:
    """The parameters that erasing changes, and the contexts that it computes in."""

    def __init__(
        self, clm: Clm, lora: Lora | None, *, precision: str, checkpointing: bool, seed: int
    ) -> None:
        """Make the CLM ready.

        Raises:
            BadInput: its weights are quantized, or an adapter would be no smaller than they are.
            ErasureError: its layers take no adapter.
        """
        check_trainable(clm, lora)
        self.clm, self.lora = clm, lora
        device = clm.device.type
        half = clm.stored_dtype in (torch.bfloat16, torch.float16)
        self.autocast = precision == "bfloat16" or (
            precision == "auto" and device == "cuda" and half and torch.cuda.is_bf16_supported()
        )
        clm.model.requires_grad_(False)
        self._peft: Any = None
        output: Any = clm.model.get_output_embeddings()
        if lora is None:
            # Half-precision weights do not move at these rates: train in float32, save as stored.
            clm.model.float()
            self.head: torch.nn.Module = copy.deepcopy(output)
            clm.model.requires_grad_(True)
        else:
            self._peft = _with_lora(clm, lora, seed)
            self.head = output
        clm.model.eval()
        self.parameters = [p for p in clm.model.parameters() if p.requires_grad]
        self._layers = _checkpointed(clm) if checkpointing else []

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """The precision that forward passes are computed in."""
        with torch.autocast(self.clm.device.type, torch.bfloat16, enabled=self.autocast):
            yield

    @contextlib.contextmanager
    def stepping(self) -> Iterator[None]:
        """Let layers be computed again in the backward pass; dropout stays off."""
        for layer in self._layers:
            layer.training = True
        try:
            yield
        finally:
            for layer in self._layers:
                layer.training = False

    @contextlib.contextmanager
    def original(self) -> Iterator[None]:
        """The CLM without its adapter, where one is trained: also where it is no longer at zero."""
        with self._peft.disable_adapter() if self._peft else contextlib.nullcontext():
            yield

    @contextlib.contextmanager
    @torch.no_grad()
    def as_stored(self) -> Iterator[None]:
        """The CLM as it will be read back: the adapter merged, weights rounded to what is stored.

        The weights as they are trained are kept in main memory meanwhile, and come back.
        """
        merged = self.lora is not None and self.lora.merge
        model: Any = self.clm.model
        rounded = (self.lora is None or merged) and any(
            p.dtype != self.clm.stored_dtype for p in model.parameters()
        )
        if not merged and not rounded:
            yield
            return
        # Before merging, which changes weights in place.
        kept = [p.detach().to("cpu", copy=True) for p in model.parameters()]
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
            for parameter, weights in zip(model.parameters(), kept, strict=True):
                parameter.copy_(weights)

    def finish(self) -> Adapter | None:
        """End training: what is left is the erased CLM, of plain layers; and its adapter."""
        self.clm.model.requires_grad_(False)
        if self._layers:
            _switch(self.clm.model, "disable")
        if self._peft is None:
            return None
        from peft import get_peft_model_state_dict

        state = get_peft_model_state_dict(self._peft)
        config = self._peft.peft_config["default"]
        config.inference_mode = True
        weights = {name: weight.detach().cpu().contiguous() for name, weight in state.items()}
        self.clm.model = self._peft.merge_and_unload()
        return Adapter(config, weights)


def check_trainable(clm: Clm, lora: Lora | None) -> None:
    """Refuse weights that no gradient can move, and an adapter as large as what it stands beside.

    Raises:
        BadInput: the checkpoint is quantized, or the rank is above the CLM's width.
    """
    width = clm.width
    if lora is not None and lora.rank > width:
        raise BadInput(
            f"{clm.name}: its layers are {width} wide, and a LoRA adapter of rank {lora.rank} "
            "would be no smaller: give a lower rank, or erase without one"
        )
    given = getattr(clm.model.config, "quantization_config", None)
    whole = all(p.dtype.is_floating_point and p.dtype.itemsize > 1 for p in clm.model.parameters())
    quantized = given is not None or getattr(clm.model, "is_quantized", False)
    if quantized or clm.eight_bits or not whole:
        raise BadInput(
            f"{clm.name}: its weights are quantized, and erasing has to change them: erase the "
            "checkpoint that it was made from, and quantize what comes of it"
        )


def _with_lora(clm: Clm, lora: Lora, seed: int) -> Any:
    from peft import LoraConfig, get_peft_model

    layers, stacks = adaptable(clm.model)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=round(lora.rank * lora.scale),
        target_modules=layers,
        target_parameters=stacks or None,
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # It says that Conv1D layers are transposed, which it finds out by itself.
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        try:
            return get_peft_model(clm.model, config)
        except ValueError as error:
            reason = str(error).splitlines()[0]
            raise ErasureError(
                f"{clm.name}: the layers of a {clm.family} take no LoRA adapter ({reason}): erase "
                "without one"
            ) from None


_OUTPUT_REFUSED = ("falcon_h1", "falcon_mamba", "mamba", "mamba2", "nemotron_h")
"""Families whose `out_proj` PEFT gives no adapter: in training mode it is read past as well."""


def adaptable(model: Any) -> tuple[list[str], list[str]]:
    """The names of the layers that take an adapter, and of stacks of matrices (experts) that do.

    Of a state-space layer one projection takes none, as its weights are read past it, where an
    adapter is not seen; and another where PEFT refuses it.
    """
    from transformers.pytorch_utils import Conv1D

    plain = {torch.nn.Linear.forward, Conv1D.forward}
    refused = model.config.model_type in _OUTPUT_REFUSED
    none = [model.get_output_embeddings()]
    for module in model.modules():
        if hasattr(module, "A_log"):
            none.append(getattr(module, "dt_proj", None))
            none.append(getattr(module, "out_proj", None) if refused else None)
    layers, stacks = [], []
    for name, module in model.named_modules():
        if type(module).forward in plain and not any(module is other for other in none):
            layers.append(name)
        elif not isinstance(module, torch.nn.Conv1d):
            own = module.named_parameters(name, recurse=False)
            stacks += [path for path, weight in own if weight.ndim == 3]
    return layers, stacks


def _checkpointed(clm: Clm) -> list[torch.nn.Module]:
    from transformers.modeling_layers import GradientCheckpointingLayer

    layers: list[torch.nn.Module] = [
        m for m in clm.model.modules() if isinstance(m, GradientCheckpointingLayer)
    ]
    if not layers or not clm.model.supports_gradient_checkpointing:
        raise ErasureError(
            f"{clm.name}: a {clm.family} cannot compute its layers again: erase without gradient "
            "checkpointing, in steps of fewer tokens"
        )
    _switch(clm.model, "enable", {"use_reentrant": False})
    for layer in layers:
        switched: Any = layer
        switched._gradient_checkpointing_func = partial(
            _in_eval, layer, switched._gradient_checkpointing_func
        )
    return layers


def _in_eval(
    layer: torch.nn.Module,
    checkpointed: Callable[..., Any],
    forward: Callable[..., Any],
    *given: Any,
) -> Any:
    """Compute a layer, and again, without the dropout that it applies where it is in training."""

    def compute(*inputs: Any) -> Any:
        training, layer.training = layer.training, False
        try:
            return forward(*inputs)
        finally:
            layer.training = training

    return checkpointed(compute, *given)


def _switch(model: Any, word: str, *given: dict[str, bool]) -> None:
    """Turn the computing of layers again on or off, by the name that this transformers has."""
    prefix = "activation" if hasattr(model, "activation_checkpointing_enable") else "gradient"
    getattr(model, f"{prefix}_checkpointing_{word}")(*given)
