"""LoRA adapters (Hu et al., 2022, arXiv 2106.09685), by PEFT."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from erasetest.clm.model import Clm
from erasetest.errors import BadInput, ErasureError
from erasetest.support.extras import require

_OUT_PROJ_REFUSED = ("falcon_h1", "falcon_mamba", "mamba", "mamba2", "nemotron_h")
"""Families whose `out_proj` PEFT refuses: in training mode their code bypasses that layer too."""


@dataclass(frozen=True, slots=True)
class Lora:
    """Settings of a low-rank adapter on every layer that takes one (`adaptable_layers`).

    Raises:
        BadInput: the rank is below 1.
        MissingExtra: PEFT is not installed.
    """

    rank: int = 16
    scale: float = 2.0
    """alpha / rank."""
    merge: bool = True
    """Whether to save the CLM with the adapter merged into it, rather than the adapter alone."""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise BadInput(f"the rank of a LoRA adapter must be 1 or more, got {self.rank}")
        require("peft", "lora", "erasing by a LoRA adapter")


@dataclass(frozen=True, slots=True)
class Adapter:
    """A trained adapter, separate from the CLM."""

    config: Any
    weights: dict[str, torch.Tensor]

    def write(self, folder: Path) -> None:
        """Write the adapter to a folder, in PEFT's format."""
        from safetensors.torch import save_file

        self.config.save_pretrained(str(folder))
        save_file(self.weights, folder / "adapter_model.safetensors", {"format": "pt"})


def add_adapter(clm: Clm, lora: Lora, seed: int) -> Any:
    """Add an untrained adapter to a CLM's layers, and return PEFT's model around it.

    Raises:
        ErasureError: PEFT refuses the CLM's layers.
    """
    from peft import LoraConfig, get_peft_model

    layers, stacks = adaptable_layers(clm.model)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=round(lora.rank * lora.scale),
        target_modules=layers,
        target_parameters=stacks or None,
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # PEFT warns that Conv1D layers are transposed, which it detects and handles.
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


def merge_adapter(peft_model: Any) -> tuple[Any, Adapter]:
    """Merge an adapter for good; return the plain model, and a copy of the adapter."""
    from peft import get_peft_model_state_dict

    state = get_peft_model_state_dict(peft_model)
    config = peft_model.peft_config["default"]
    config.inference_mode = True
    weights = {name: weight.detach().cpu().contiguous() for name, weight in state.items()}
    return peft_model.merge_and_unload(), Adapter(config, weights)


def adaptable_layers(model: Any) -> tuple[list[str], list[str]]:
    """Return the names of the layers, and of the stacked matrices (experts), to adapt.

    Left out of state-space layers: `dt_proj`, as their code reads its weights directly and would
    bypass an adapter; and `out_proj` in families where PEFT refuses it.
    """
    from transformers.pytorch_utils import Conv1D

    supported = {torch.nn.Linear.forward, Conv1D.forward}
    out_proj_refused = model.config.model_type in _OUT_PROJ_REFUSED
    excluded = [model.get_output_embeddings()]
    for module in model.modules():
        # Only state-space layers have this parameter.
        if hasattr(module, "A_log"):
            excluded.append(getattr(module, "dt_proj", None))
            excluded.append(getattr(module, "out_proj", None) if out_proj_refused else None)
    layers, stacks = [], []
    for name, module in model.named_modules():
        if type(module).forward in supported and not any(module is other for other in excluded):
            layers.append(name)
        elif not isinstance(module, torch.nn.Conv1d):
            own = module.named_parameters(name, recurse=False)
            stacks += [path for path, weight in own if weight.ndim == 3]
    return layers, stacks
