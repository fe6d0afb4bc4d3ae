"""Checkpoints that tests spoil: weights and adapters edited as files."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

from erasetest.clm import Clm, LoadOptions, load_clm
from erasetest.errors import ClmError

Weights = dict[str, torch.Tensor]


def refused(name: str | Path, options: LoadOptions | None = None) -> str:
    """The message, one line that names what was given."""
    with pytest.raises(ClmError) as caught:
        load_clm(str(name), options)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) < 500
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return message


def edit(path: Path, change: Callable[[Weights], Weights]) -> None:
    """Write a safetensors file anew."""
    # Copies: safetensors refuses tensors that share memory.
    weights = {name: weight.clone() for name, weight in change(load_file(path)).items()}
    save_file(weights, path, metadata={"format": "pt"})


def configure(folder: Path, file: str = "config.json", **changes: Any) -> None:
    """Change values of a configuration."""
    path = folder / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def save_with_adapter(folder: Path) -> tuple[Path, Path]:
    """A base that recites nothing, and an adapter with which it recites `tiny.PLANTED` in part."""
    import peft

    clm = tiny.reciting("qwen2")
    layers = ["q_proj", "v_proj", "up_proj", "down_proj"]
    config = peft.LoraConfig(r=8, lora_alpha=8, target_modules=layers, task_type="CAUSAL_LM")
    with torch.random.fork_rng(devices=[]), torch.no_grad(), warnings.catch_warnings():
        # PEFT calls a part of transformers by an old name.
        warnings.simplefilter("ignore", FutureWarning)
        torch.manual_seed(3)
        adapted = peft.get_peft_model(clm.model, config)
        for layer in adapted.modules():
            if isinstance(layer, peft.tuners.lora.Linear):
                layer.lora_B["default"].weight.normal_(0, 0.3)
                layer.base_layer.weight -= layer.get_delta_weight("default")
    adapted.save_pretrained(folder / "adapter")
    tiny.save(Clm.from_model(adapted.unload(), clm.tokenizer, name="base"), folder / "base")
    return folder / "base", folder / "adapter"
