"""Dtypes in which the weights of a checkpoint are stored; its config need not name them."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import torch

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
"""File name of the weights if there is one file, and of the index if there are several."""

_TYPES = {
    "F32": torch.float32,
    "BF16": torch.bfloat16,
    "F16": torch.float16,
}
"""Dtypes by their names in safetensors."""


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files that a model is loaded from; the folder may have others."""
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    if not (folder / INDEX).is_file():
        return []
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    return [folder / name for name in sorted(set(index["weight_map"].values()))]


def stored_types(folder: Path, model: torch.nn.Module) -> tuple[bool, torch.dtype | None]:
    """Return whether any weight is stored in 8 bits, and the dtype of most stored numbers.

    Masks may have 8 bits. The dtype is None if weights have 8 bits or there is no such file.
    """
    from safetensors import safe_open

    numbers: Counter[torch.dtype] = Counter()
    weights = {name for name, _ in model.named_parameters()}
    prefix = getattr(model, "base_model_prefix", "")
    weights |= {name.removeprefix(f"{prefix}.") for name in weights}
    for path in weight_files(folder):
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 (not a mapping)
                tensor = file.get_slice(name)
                dtype = tensor.get_dtype()
                # transformers renames the weights of experts when it stacks them.
                is_weight = name in weights or name.endswith(".weight")
                if dtype.startswith("F8") or (is_weight and dtype in ("I8", "U8")):
                    return True, None
                if dtype in _TYPES:
                    numbers[_TYPES[dtype]] += math.prod(tensor.get_shape())
    return False, max(numbers, key=numbers.__getitem__, default=None)
