"""What the weights of a checkpoint are stored in, which its config need not say."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import torch

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
"""The names of the only file of weights, and of the index of several."""

_TYPES = {
    "F32": torch.float32,
    "BF16": torch.bfloat16,
    "F16": torch.float16,
}
"""By the names that safetensors has for them."""


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that a model is loaded from; others may lie beside them."""
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    if not (folder / INDEX).is_file():
        return []
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    return [folder / name for name in sorted(set(index["weight_map"].values()))]


def stored_types(folder: Path, model: torch.nn.Module) -> tuple[bool, torch.dtype | None]:
    """Whether safetensors files have a weight of 8 bits (masks may), and the dtype of most numbers.

    The dtype is None where no such file is there, or weights have 8 bits.
    """
    from safetensors import safe_open

    numbers: Counter[torch.dtype] = Counter()
    weights = {name for name, _ in model.named_parameters()}
    prefix = getattr(model, "base_model_prefix", "")
    weights |= {name.removeprefix(f"{prefix}.") for name in weights}
    for path in weight_files(folder):
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 (no mapping)
                tensor = file.get_slice(name)
                dtype = tensor.get_dtype()
                # Experts are renamed while they are loaded, to be stacked.
                is_weight = name in weights or name.endswith(".weight")
                if dtype.startswith("F8") or (is_weight and dtype in ("I8", "U8")):
                    return True, None
                if dtype in _TYPES:
                    numbers[_TYPES[dtype]] += math.prod(tensor.get_shape())
    return False, max(numbers, key=numbers.__getitem__, default=None)
