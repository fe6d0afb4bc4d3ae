"""Put a PEFT adapter on a CLM, whole or not at all.

PEFT leaves a layer as it was where the adapter's file has no tensor for it, and passes over tensors
that no layer takes: such an adapter would be measured as if it were the CLM without it.
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
"""What PEFT calls the only adapter of a model."""


def with_adapter(
    model: PreTrainedModel, name: str, base: str, *, allow_pickle: bool
) -> PreTrainedModel:
    """The model with the adapter of folder `name` merged into it; `base` is the model's name.

    Raises:
        ClmError: the folder holds no adapter, or one whose tensors are not those of this model's
            layers.
        MissingExtra: PEFT is not installed.
    """
    check_adapter(name)
    require("peft", "lora", "--clm-adapter")
    # Absolute: PEFT asks the hub for what it does not find under a name like a/b.
    folder = Path(name).expanduser().absolute()
    _check_weights(name, folder, allow_pickle=allow_pickle)
    _warn_of_base(name, folder, base)
    advice = f"save it again with save_pretrained, or name its base as --clm instead of {base}"
    try:
        adapted, missing, unexpected = _load(model, folder)
    except Exception as error:
        # PEFT raises RuntimeError, ValueError, KeyError and more for an adapter of another model.
        reason = _other_shape(error) or one_line(error)
        raise ClmError(f"{name}: the adapter does not fit the CLM ({reason}): {advice}") from None
    if unexpected:
        raise ClmError(
            f"{name}: the adapter holds {tensors(unexpected)} that no layer of the CLM takes: "
            f"{advice}"
        )
    if missing:
        raise ClmError(
            f"{name}: the adapter lacks {tensors(missing)} of layers that its config names: "
            f"{advice}"
        )
    check_finite(name, ((key, w) for key, w in adapted.named_parameters() if _is_adapters(key)))
    try:
        merged: PreTrainedModel = adapted.merge_and_unload()
    except Exception as error:
        raise ClmError(
            f"{name}: the adapter cannot be merged into the CLM ({one_line(error)})"
        ) from None
    return merged


def _load(model: PreTrainedModel, folder: Path) -> tuple[Any, list[str], list[str]]:
    """The adapted model, and the tensors that the adapter lacks and has too many."""
    from peft import PeftConfig, PeftModel

    with warnings.catch_warnings():
        # What PEFT calls by an old name is no concern of whoever names an adapter, and what it
        # found missing is refused.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("ignore", message="Found missing adapter keys")
        adapted = PeftModel(model, PeftConfig.from_pretrained(str(folder)), _NAME)
        result = adapted.load_adapter(str(folder), _NAME, torch_device=str(model.device))
    missing = _as_saved(result.missing_keys) + _missing_biases(adapted, folder)
    return adapted, missing, _as_saved(result.unexpected_keys)


def _missing_biases(adapted: Any, folder: Path) -> list[str]:
    """Biases that the adapter trained, by its config, and that its file lacks.

    PEFT does not count them as missing, because the layer under the adapter has them.
    """
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    if getattr(adapted.peft_config[_NAME], "bias", "none") == "none":
        return []
    if not (folder / _WEIGHTS).is_file():
        return []
    with safe_open(folder / _WEIGHTS, "pt") as file:
        held = set(file.keys())
    saved = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    return sorted(key for key in saved if key.endswith(".bias") and key not in held)


def _as_saved(keys: list[str]) -> list[str]:
    """Names of tensors as the adapter's file has them: without PEFT's name for the adapter."""
    return sorted(key.replace(f".{_NAME}.", ".").removesuffix(f".{_NAME}") for key in keys)


def _other_shape(error: Exception) -> str | None:
    """The first tensor of another shape, where torch complains of such."""
    found = re.search(
        r"size mismatch for (\S+): .*?shape torch\.Size\((.*?)\) .*?torch\.Size\((.*?)\)",
        str(error),
        re.DOTALL,
    )
    if found is None:
        return None
    key, given, needed = found.groups()
    return f"{_as_saved([key])[0]} is {given}, and {needed} is needed"


def _is_adapters(key: str) -> bool:
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
    """Warn where the adapter was trained on a base of another name.

    A warning, not a refusal: what is named there is often a path on the machine of the training, or
    the hub id of what lies here as a folder. Layers that do not match are refused by themselves.
    """
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    trained_on = config.get("base_model_name_or_path")
    if not isinstance(trained_on, str) or not trained_on:
        return
    if Path(trained_on).name != Path(base).name and not _same_folder(trained_on, base):
        warnings.warn(
            f"{name}: the adapter was trained on {trained_on}, and is put on {base}: check that "
            "they are the same",
            stacklevel=2,
        )


def _same_folder(one: str, other: str) -> bool:
    return Path(one).expanduser().resolve() == Path(other).expanduser().resolve()
