"""Merge a PEFT adapter into a CLM, completely or not at all.

PEFT does not change a layer for which the adapter's file has no tensor, and ignores tensors that
match no layer. With such an adapter the unchanged CLM would be measured.
"""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erasetest.clm.adapter_folder import check_adapter
from erasetest.clm.refusals import tensors
from erasetest.clm.weights import check_finite
from erasetest.errors import ClmError, one_line
from erasetest.support.extras import require

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_WEIGHTS = "adapter_model.safetensors"
_PICKLED = "adapter_model.bin"
_NAME = "default"
"""PEFT's name for the only adapter of a model."""


def with_adapter(
    model: PreTrainedModel, name: str, base: str, *, allow_pickle: bool
) -> PreTrainedModel:
    """Return the model with the adapter of folder `name` merged; `base` is the model's name.

    Raises:
        ClmError: the folder contains no adapter, or its tensors do not match the model's layers.
        MissingExtra: PEFT is not installed.
    """
    check_adapter(name)
    require("peft", "lora", "--clm-adapter")
    # Absolute, because PEFT looks up a relative path like a/b on the hub.
    folder = Path(name).expanduser().absolute()
    _check_weights(name, folder, allow_pickle=allow_pickle)
    _warn_of_base(name, folder, base)
    advice = f"save it again with save_pretrained, or name its base as --clm instead of {base}"
    try:
        adapted, missing, unexpected = _load(model, folder)
    except Exception as error:
        # PEFT raises RuntimeError, ValueError, KeyError and more for an adapter of another model.
        reason = _shape_mismatch(error) or one_line(error)
        raise ClmError(f"{name}: the adapter does not fit the CLM ({reason}): {advice}") from None
    if unexpected:
        raise ClmError(
            f"{name}: the adapter has {tensors(unexpected)} that match no layer of the CLM: "
            f"{advice}"
        )
    if missing:
        raise ClmError(
            f"{name}: the adapter lacks {tensors(missing)} of layers that its config names: "
            f"{advice}"
        )
    check_finite(
        name, ((key, w) for key, w in adapted.named_parameters() if _belongs_to_adapter(key))
    )
    try:
        merged: PreTrainedModel = adapted.merge_and_unload()
    except Exception as error:
        raise ClmError(
            f"{name}: the adapter cannot be merged into the CLM ({one_line(error)})"
        ) from None
    return merged


def _load(model: PreTrainedModel, folder: Path) -> tuple[Any, list[str], list[str]]:
    """Return the adapted model, the adapter's missing tensors, and its unexpected tensors."""
    from peft import PeftConfig, PeftModel

    with warnings.catch_warnings():
        # The user cannot change how PEFT is called, and missing tensors are refused later.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("ignore", message="Found missing adapter keys")
        adapted = PeftModel(model, PeftConfig.from_pretrained(str(folder)), _NAME)
        result = adapted.load_adapter(str(folder), _NAME, torch_device=str(model.device))
    missing = _as_saved(result.missing_keys) + _missing_biases(adapted, folder)
    return adapted, missing, _as_saved(result.unexpected_keys)


def _missing_biases(adapted: Any, folder: Path) -> list[str]:
    """Return the biases that the adapter trained, by its config, and that its file lacks.

    PEFT does not report them as missing, because the layer under the adapter has them.
    """
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    if getattr(adapted.peft_config[_NAME], "bias", "none") == "none":
        return []
    if not (folder / _WEIGHTS).is_file():
        return []
    with safe_open(folder / _WEIGHTS, "pt") as file:
        stored = set(file.keys())
    saved = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    return sorted(key for key in saved if key.endswith(".bias") and key not in stored)


def _as_saved(keys: list[str]) -> list[str]:
    """Return names of tensors as in the adapter's file: without PEFT's name for the adapter."""
    return sorted(key.replace(f".{_NAME}.", ".").removesuffix(f".{_NAME}") for key in keys)


def _shape_mismatch(error: Exception) -> str | None:
    """Return a description of the first tensor whose shape torch's error is about, if any."""
    found = re.search(
        r"size mismatch for (\S+): .*?shape torch\.Size\((.*?)\) .*?torch\.Size\((.*?)\)",
        str(error),
        re.DOTALL,
    )
    if found is None:
        return None
    key, given, needed = found.groups()
    return f"{_as_saved([key])[0]} is {given}, and {needed} is needed"


def _belongs_to_adapter(key: str) -> bool:
    return _NAME in key.split(".")


def _check_weights(name: str, folder: Path, *, allow_pickle: bool) -> None:
    if (folder / _WEIGHTS).is_file():
        return
    if not (folder / _PICKLED).is_file():
        raise ClmError(f"{name}: has no {_WEIGHTS}: name a folder that PEFT wrote")
    if not allow_pickle:
        raise ClmError(
            f"{name}: the adapter is pickled, and loading it can run code: convert it to "
            "safetensors, or allow it with --clm-allow-pickle"
        )


def _warn_of_base(name: str, folder: Path, base: str) -> None:
    """Warn if the adapter was trained on a base of another name.

    Not an error: the name is often a path of another machine, or the hub id of a model that is a
    local folder here. Layers that do not match are refused anyway.
    """
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    trained_on = config.get("base_model_name_or_path")
    if not isinstance(trained_on, str) or not trained_on:
        return
    if Path(trained_on).name != Path(base).name and not _same_folder(trained_on, base):
        warnings.warn(
            f"{name}: the adapter was trained on {trained_on} and is applied to {base}: check that "
            "they are the same",
            stacklevel=2,
        )


def _same_folder(one: str, other: str) -> bool:
    return Path(one).expanduser().resolve() == Path(other).expanduser().resolve()
