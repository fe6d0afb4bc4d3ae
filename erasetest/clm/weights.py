"""Load the weights of a CLM, and refuse them unless they are exactly the tensors of the model.

Missing tensors would be random, and unexpected tensors belong to another model. In both cases the
measured model would not be the one that was named.
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
    r"(^|\.)(inv_freq|cos_cached|sin_cached|position_ids|embed_positions)$"  # position tables
    r"|(^|\.)(attn|attention)\.(bias|masked_bias|causal_mask)$"  # masks, as of GPT-2 and CodeGen
    r"|^v_head\."  # value head of reinforcement learning; no logit depends on it
)
"""Names of tensors in checkpoints that models do not load: recomputed, or used in training only.

transformers ignores some of them itself, depending on the family. Tied weights are stored once and
are not reported as missing, because transformers knows them from the configuration.
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
    """Load the weights of a model.

    Args:
        name: what messages call the model.
        folder: its checkpoint.
        config: its configuration.
        dtype: dtype to load it in, or "auto".
        allow_pickle: load pickled weights too, which can run code.
        trust_remote_code: run the code that comes with the checkpoint.

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
            # Refused below instead: the error of transformers refers to a report in its log.
            ignore_mismatched_sizes=True,
        )
    except Exception as error:
        # safetensors, pickle and transformers raise different errors for a broken file.
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
            f"{name}: {len(mismatched)} tensors of the weights do not have the shape that "
            f"config.json defines (the first: {tensor} is {_shape(stored)}, not {_shape(needed)}): "
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
    """Refuse tensors that a model does not have, except for harmless ones.

    Raises:
        ClmError: naming the first few.
    """
    unexpected = sorted(key for key in keys if not _HARMLESS.search(key))
    if unexpected:
        raise ClmError(
            f"{name}: the weights contain {tensors(unexpected)} that this {kind} does not have, "
            "so they belong to another CLM: name a folder whose config.json belongs to its weights"
        )


def check_finite(name: str, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
    """Refuse weights that are NaN or infinite, even those that no probe would use at first.

    Raises:
        ClmError: naming the first few tensors.
    """
    dtype, damaged = "", []
    for key, weight in weights:
        # 8-bit floats have no infinities, and torch implements no `isfinite` for them.
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
    """Refuse a folder whose weights do not match its index; pickled weights are not read."""
    if (folder / "adapter_config.json").is_file():
        # transformers would load both if PEFT is installed, and the model alone if not.
        raise ClmError(
            f"{name}: has an adapter (adapter_config.json) beside the model: move the adapter to a "
            "separate folder, and name that with --clm-adapter"
        )
    pickled = any(folder.glob("*.bin"))
    if not any(folder.glob("*.safetensors")):
        if allow_pickle and pickled:
            return
        raise ClmError(
            f"{name}: its weights are pickled, and loading them can run code: convert them to "
            "safetensors, or allow it with --clm-allow-pickle"
            if pickled
            else f"{name}: has no weights (*.safetensors)"
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
        file_of = {str(key): str(file) for key, file in index["weight_map"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ClmError(
            f"{name}: {INDEX} cannot be used ({one_line(error)}): fetch or save the weights again"
        ) from None
    stored: set[tuple[str, str]] = set()
    for path in weight_files(folder):
        if not path.is_file():
            raise ClmError(
                f"{name}: {path.name}, which {INDEX} names, does not exist: fetch or save the "
                "weights again"
            )
        try:
            with safe_open(path, "pt") as file:
                stored |= {(key, path.name) for key in file.keys()}  # noqa: SIM118 (not a mapping)
        except (OSError, SafetensorError) as error:
            raise ClmError(
                f"{name}: {path.name} cannot be read ({one_line(error)}): fetch or save the "
                "weights again"
            ) from None
    absent = sorted(key for key, file in file_of.items() if (key, file) not in stored)
    if absent:
        raise ClmError(
            f"{name}: {INDEX} names {tensors(absent)} that its files lack: fetch or save "
            "the weights again"
        )


def _shape(sizes: Iterable[int]) -> str:
    return " x ".join(map(str, sizes))
