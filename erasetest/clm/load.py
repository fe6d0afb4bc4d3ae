"""Load a causal LM and its tokenizer, from a directory or the hub, without running foreign code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from erasetest.clm.adapter import with_adapter
from erasetest.clm.erasure_records import read_records
from erasetest.clm.fingerprint import fingerprint
from erasetest.clm.load_options import LoadOptions
from erasetest.clm.model import Clm
from erasetest.clm.refusals import remote_code
from erasetest.clm.tokenizer import load_tokenizer
from erasetest.clm.weight_dtypes import stored_types
from erasetest.clm.weights import load_weights
from erasetest.errors import ClmError, one_line
from erasetest.support.torch_environment import silence_transformers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
_WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
_PICKLED_WEIGHTS = ("*.bin", "*.bin.index.json")
_REST = ("*.json", "*.txt", "*.model", "*.jinja", "*.py")


def load_clm(name: str, options: LoadOptions | None = None, *, folder: Path | None = None) -> Clm:
    """Load the CLM of a directory or hub id.

    Args:
        name: how it is named.
        options: how it is loaded; None for the defaults.
        folder: its checkpoint, if that is not where the name says.

    Raises:
        ClmError: it does not exist, is not a causal LM, has no fast tokenizer, or cannot be loaded
            with these options.
    """
    options = options or LoadOptions()
    silence_transformers()
    device = _device(options)
    folder = folder or checkpoint_folder(name, options)
    config = _config(name, folder, options)
    tokenizer = load_tokenizer(name, folder, options)
    model = load_weights(
        name,
        folder,
        config,
        _dtype(options, device),
        allow_pickle=options.allow_pickle,
        trust_remote_code=options.trust_remote_code,
    )
    embedding: Any = model.get_input_embeddings()
    embedded = embedding.weight.shape[0]
    if len(tokenizer) > embedded:
        raise ClmError(
            f"{name}: the tokenizer has {len(tokenizer)} tokens, the model embeds {embedded}: "
            "they do not belong together"
        )
    adapter_folder: Path | None = None
    if options.adapter is not None:
        model = with_adapter(model, options.adapter, name, allow_pickle=options.allow_pickle)
        adapter_folder = Path(options.adapter).expanduser()
    clm = Clm.from_model(
        _place(name, model, device),
        tokenizer,
        name=name,
        fingerprint=fingerprint(folder, adapter_folder),
        batch_tokens=options.batch_tokens,
        adapter=options.adapter,
    )
    clm.eight_bits, stored = stored_types(folder, model)
    # Config files name a dtype that need not be the stored one, so the files come first.
    configured = config.dtype if isinstance(config.dtype, torch.dtype) else model.dtype
    clm.stored_dtype = stored or configured
    clm.records = read_records(folder) + (read_records(adapter_folder) if adapter_folder else ())
    _check_logits(clm)
    return clm


def _device(options: LoadOptions) -> torch.device:
    if options.device == "auto":
        if not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda", options.worker % torch.cuda.device_count())
    try:
        device = torch.device(options.device)
    except RuntimeError:
        raise ClmError(
            f"device {options.device!r} is unknown: expected auto, cpu, cuda or cuda:N"
        ) from None
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise ClmError(
                f"device {options.device!r}: this machine has no CUDA device: use cpu or auto"
            )
        if (device.index or 0) >= torch.cuda.device_count():
            raise ClmError(
                f"device {options.device!r}: there are {torch.cuda.device_count()} CUDA devices, "
                "counted from 0"
            )
    elif device.type != "cpu":
        raise ClmError(f"device {options.device!r} is not supported: use auto, cpu, cuda or cuda:N")
    return device


def _dtype(options: LoadOptions, device: torch.device) -> torch.dtype | str:
    if options.dtype == "auto":
        return torch.float32 if device.type == "cpu" else "auto"
    if options.dtype not in _DTYPES:
        raise ClmError(f"dtype {options.dtype!r} is unknown: expected auto, {', '.join(_DTYPES)}")
    return _DTYPES[options.dtype]


def checkpoint_folder(name: str, options: LoadOptions) -> Path:
    """Return the local folder of a name; a model of the hub is fetched into its cache first.

    Raises:
        ClmError: there is no such folder, and the hub does not have it or cannot be reached.
    """
    if not name:
        raise ClmError("'': is not the name of a CLM: name a model folder, a hub id or demo")
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.is_file():
        raise ClmError(f"{name}: is a file: name the folder with config.json and the weights")
    if name.startswith((".", "/", "~")) or name.count("/") != 1 or os.sep + os.sep in name:
        raise ClmError(f"{name}: no such folder: name a model folder, a hub id or demo")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    allowed = (*_WEIGHTS, *_REST, *(_PICKLED_WEIGHTS if options.allow_pickle else ()))
    try:
        return Path(snapshot_download(name, allow_patterns=list(allowed)))
    except LocalEntryNotFoundError:
        reason = "the hub cannot be reached, and its cache does not contain it"
    except HFValidationError:
        reason = "it is not a valid hub id either"
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "an error"
        reason = f"the hub answers {status}"
    except OSError as error:
        reason = f"it cannot be fetched from the hub ({type(error).__name__})"
    raise ClmError(f"{name}: no such folder, and {reason}: name a model folder, a hub id or demo")


def _config(name: str, folder: Path, options: LoadOptions) -> Any:
    from transformers import AutoConfig

    if not (folder / "config.json").is_file():
        raise ClmError(f"{name}: has no config.json: name a folder that save_pretrained wrote")
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=options.trust_remote_code)
    except Exception as error:
        # A value of a wrong type or name raises whatever the configuration class happens to raise.
        if "trust_remote_code" in str(error):
            raise remote_code(name) from None
        raise ClmError(f"{name}: config.json cannot be used ({one_line(error)})") from None
    architectures = [str(architecture) for architecture in config.architectures or ()]
    generative = [a for a in architectures if a.endswith(("ForCausalLM", "LMHeadModel"))]
    if config.is_encoder_decoder or (architectures and not generative):
        shown = ", ".join(architectures) or config.model_type
        raise ClmError(f"{name}: is a {shown}, not a causal LM")
    return config


def _place(name: str, model: Any, device: torch.device) -> PreTrainedModel:
    try:
        placed: PreTrainedModel = model.to(device).eval()
    except RuntimeError as error:
        raise ClmError(
            f"{name}: the weights cannot be put on {device} ({one_line(error)}): use a device with "
            "more free memory (--clm-device), or a smaller dtype (--clm-dtype)"
        ) from None
    return placed


@torch.no_grad()
def _check_logits(clm: Clm) -> None:
    """Refuse logits that are NaN or infinite, or that depend on later tokens.

    Two rows of one batch differ in their second half only. In the first half a causal LM gives
    identical logits, to the last bit. Those of an untrained one-layer BERT, the hardest case,
    still change by 1.6e-3 of their standard deviation.
    """
    length = min(16, clm.window)
    half = length // 2
    ids = torch.arange(length, device=clm.device).repeat(2, 1)
    ids[1, half:] = ids[1, half:] * 7 + 20
    ids %= len(clm.tokenizer)
    one, other = _first_pass(clm, ids)[:, :half].float()
    if not (one.isfinite().all() and other.isfinite().all()):
        raise ClmError(
            f"{clm.name}: its logits are not finite in {str(clm.dtype).removeprefix('torch.')}: "
            "the weights are damaged, or a wider dtype is needed"
        )
    tolerance = 1e-4 if clm.dtype == torch.float32 else 0.05
    if (one - other).abs().max() > tolerance * one.std():
        kind = type(clm.model).__name__
        raise ClmError(f"{clm.name}: this {kind} attends to later tokens, so it is not a causal LM")


def _first_pass(clm: Clm, ids: torch.Tensor) -> torch.Tensor:
    """Return the logits of a first forward pass, which can fail although the CLM was loaded.

    Raises:
        ClmError: transformers cannot run it.
    """
    try:
        logits: torch.Tensor = clm.model(input_ids=ids, use_cache=False).logits
    except Exception as error:
        # The code of a model can raise anything on a configuration that it was not written for.
        raise ClmError(
            f"{clm.name}: transformers cannot run this {type(clm.model).__name__} "
            f"({one_line(error)}): check config.json, and that the versions of torch and "
            "transformers, and the device, are those that the model needs"
        ) from None
    return logits
