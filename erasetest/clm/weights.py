"""Load the weights of a CLM, and refuse them unless they are exactly what the model consists of.

A model with tensors that were not loaded would be random there; tensors that the model has no place
for belong to another model. Either would be measured as something that nobody named.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from erasetest.clm.refusals import remote_code, tensors
from erasetest.clm.weight_dtypes import INDEX, SINGLE, weight_files
from erasetest.errors import ClmError, one_line

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_HARMLESS = re.compile(
    r"(^|\.)(inv_freq|cos_cached|sin_cached|position_ids|embed_positions)$"  # tables of positions
    r"|(^|\.)(attn|attention)\.(bias|masked_bias|causal_mask)$"  # masks of GPT-2, CodeGen and kin
    r"|^v_head\."  # the value head of reinforcement learning, which no logit depends on
)
"""Tensors that checkpoints hold and models no longer load: computed anew, or for training alone.

Transformers leaves out some of them by itself, by family. Tied weights, of which a checkpoint holds
one copy, are not missing: transformers knows them by the configuration.
"""


def load_weights(
    name: str,
    folder: Path,
    config: Any,
    dtype: torch.dtype | str,
    *,
    allow_pickle: bool,
    trust_remote_code: bool,
) -> PreTrainedModel:
    """The model with its weights.

    Raises:
        ClmError: files are missing or damaged, or their tensors are not the model's.
    """
    from transformers import AutoModelForCausalLM

    _check_files(name, folder, config, allow_pickle=allow_pickle)
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            use_safetensors=None if allow_pickle else True,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
            # They are refused below: the error of transformers points to a report that it logs.
            ignore_mismatched_sizes=True,
        )
    except Exception as error:
        # safetensors, pickle and transformers each have errors of their own for a broken file.
        if "trust_remote_code" in str(error):
            raise remote_code(name) from None
        if isinstance(error, ValueError) and "Unrecognized configuration" in str(error):
            raise ClmError(f"{name}: a {config.model_type} model is not a causal LM") from None
        raise ClmError(f"{name}: the weights cannot be loaded ({one_line(error)})") from None
    model, loading = loaded
    kind = type(model).__name__
    mismatched = sorted(loading["mismatched_keys"])
    if mismatched:
        tensor, stored, needed = mismatched[0]
        raise ClmError(
            f"{name}: {len(mismatched)} tensors of the weights are of another shape than "
            f"config.json says (the first: {tensor} is {_shape(stored)}, not {_shape(needed)}): "
            "name a folder whose config.json belongs to its weights"
        )
    missing = sorted(loading["missing_keys"])
    if missing:
        raise ClmError(
            f"{name}: the weights lack {tensors(missing)} that a {kind} needs, which would be "
            "random: name a folder whose config.json belongs to its weights"
        )
    check_unexpected(name, loading["unexpected_keys"], kind)
    check_finite(name, model.named_parameters())
    ready: PreTrainedModel = model
    return ready


def check_unexpected(name: str, keys: Iterable[str], kind: str) -> None:
    """Refuse tensors that a model has no place for, harmless ones left out.

    Raises:
        ClmError: naming the first few.
    """
    unexpected = sorted(key for key in keys if not _HARMLESS.search(key))
    if unexpected:
        raise ClmError(
            f"{name}: the weights hold {tensors(unexpected)} that this {kind} has no place for, "
            "so it would be another CLM: name a folder whose config.json belongs to its weights"
        )


def check_finite(name: str, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
    """Refuse weights that are not numbers, also where no probe would meet them at first.

    Raises:
        ClmError: naming the first few tensors.
    """
    dtype, damaged = "", []
    for key, weight in weights:
        # Weights of 8 bits and less have no infinities, and torch does not look for any.
        real = weight.is_floating_point() and weight.dtype.itemsize > 1
        if real and not weight.isfinite().all():
            dtype = str(weight.dtype).removeprefix("torch.")
            damaged.append(key)
    if damaged:
        raise ClmError(
            f"{name}: values are not finite in {dtype} in {tensors(damaged)}: the weights are "
            "damaged, or a wider dtype is needed (--clm-dtype)"
        )


def _check_files(name: str, folder: Path, config: Any, *, allow_pickle: bool) -> None:
    """Refuse a folder whose weights are not there as its index says; pickled ones are not read."""
    if (folder / "adapter_config.json").is_file():
        # Transformers would load both where PEFT is installed, and the model alone where it is not.
        raise ClmError(
            f"{name}: holds an adapter (adapter_config.json) beside the model: keep the adapter in "
            "a folder of its own, and name that with --clm-adapter"
        )
    pickled = any(folder.glob("*.bin"))
    if not any(folder.glob("*.safetensors")):
        if allow_pickle and pickled:
            return
        raise ClmError(
            f"{name}: its weights are pickled, and loading them can run code: convert them to "
            "safetensors, or allow it with --clm-allow-pickle"
            if pickled
            else f"{name}: holds no weights (*.safetensors)"
        )
    if getattr(config, "transformers_weights", None):
        return
    if not (folder / SINGLE).is_file() and not (folder / INDEX).is_file():
        if allow_pickle and pickled:
            return
        raise ClmError(
            f"{name}: has neither {SINGLE} nor {INDEX}: name a folder that save_pretrained wrote"
        )
    if not (folder / SINGLE).is_file():
        _check_index(name, folder)


def _check_index(name: str, folder: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        places = {str(key): str(file) for key, file in index["weight_map"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ClmError(
            f"{name}: {INDEX} cannot be used ({one_line(error)}): fetch or save the weights again"
        ) from None
    held: set[tuple[str, str]] = set()
    for path in weight_files(folder):
        if not path.is_file():
            raise ClmError(
                f"{name}: {path.name}, which {INDEX} names, is not there: fetch or save the "
                "weights again"
            )
        try:
            with safe_open(path, "pt") as file:
                held |= {(key, path.name) for key in file.keys()}  # noqa: SIM118 (no mapping)
        except (OSError, SafetensorError) as error:
            raise ClmError(
                f"{name}: {path.name} cannot be read ({one_line(error)}): fetch or save the "
                "weights again"
            ) from None
    absent = sorted(key for key, file in places.items() if (key, file) not in held)
    if absent:
        raise ClmError(
            f"{name}: {INDEX} names {tensors(absent)} that its files do not hold: fetch or save "
            "the weights again"
        )


def _shape(sizes: Iterable[int]) -> str:
    return " x ".join(map(str, sizes))
