"""GGUF files, the format of llama.cpp: converted once into a checkpoint of transformers.

transformers has no kernels for their quantized weights, so it computes with the dequantized values.
These are measured, and trained by erasing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from erasetest.errors import BadInput, ClmError, one_line
from erasetest.support.atomic_files import cache_dir, check_disk_space
from erasetest.support.built_once import built_once
from erasetest.support.extras import require
from erasetest.support.progress import Progress
from erasetest.support.torch_environment import silence_transformers

SUFFIX = ".gguf"

_MAGIC = b"GGUF"

_BYTES_PER_WEIGHT = 4
"""Weights are stored in float32: a quantized number times its scale has no exact shorter form."""


def is_gguf(name: str) -> bool:
    """Return whether a name is that of a GGUF file."""
    return name.lower().endswith(SUFFIX)


def check_gguf(name: str) -> None:
    """Refuse a file that is missing or not in this format, without reading it all.

    Raises:
        ClmError: with the name that was given.
    """
    path = Path(name).expanduser()
    try:
        with path.open("rb") as file:
            begins = file.read(len(_MAGIC))
    except OSError as error:
        raise ClmError(f"{name}: cannot be read ({error.strerror}): name a GGUF file") from None
    if begins != _MAGIC:
        raise ClmError(f"{name}: is not a GGUF file: its first four bytes are not 'GGUF'")


def gguf_checkpoint(name: str, progress: Progress | None = None) -> Path:
    """Return the folder of the converted checkpoint; convert it if the cache does not have it.

    Args:
        name: path of the file.
        progress: called with zeros if another process is converting it.

    Raises:
        ClmError: the file is damaged, or transformers does not know its architecture.
        MissingExtra: the packages that read it are not installed.
        BadInput: the cache folder cannot be written, or its disk is too full.
    """
    check_gguf(name)
    path = Path(name).expanduser().resolve()
    for package in ("gguf", "accelerate"):
        require(package, "gguf", "reading a GGUF file")
    with path.open("rb") as file:
        content = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=12)).hexdigest()
    # Another version of transformers may convert the same file to another tokenizer.
    converter = version("transformers")
    place = cache_dir() / "gguf" / f"{path.stem}-{content}-{converter}"

    def convert(folder: Path) -> None:
        with _naming(name):
            check_disk_space(place, _BYTES_PER_WEIGHT * _count_weights(path))
            _convert(path, folder)

    return built_once(place, convert, progress)


def _count_weights(path: Path) -> int:
    """Return the number of weights.

    Raises:
        ClmError: the file is cut off or damaged.
    """
    from gguf import GGUFReader

    try:
        tensors = GGUFReader(path).tensors
    except Exception:
        # Whatever numpy or the reader stumbles over, which says nothing to a user.
        raise ClmError(f"{path}: the GGUF file is cut off or damaged: download it again") from None
    return sum(int(tensor.n_elements) for tensor in tensors)


def _convert(path: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    silence_transformers()
    source: dict[str, Any] = {"gguf_file": path.name}
    tokenizer = AutoTokenizer.from_pretrained(path.parent, **source)
    model = AutoModelForCausalLM.from_pretrained(path.parent, dtype=torch.float32, **source)
    # They describe the file: with them transformers refuses to save, or reads the folder as such.
    model.config.__dict__.pop("quantization_config", None)
    for attribute in ("hf_quantizer", "is_quantized", "quantization_method"):
        model.__dict__.pop(attribute, None)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if tokenizer.backend_tokenizer.normalizer is None:
        # The format has no field for the normalizer, so that of the model family is used.
        of_family = AutoTokenizer.from_pretrained(folder).backend_tokenizer
        tokenizer.backend_tokenizer.normalizer = of_family.normalizer
        tokenizer.save_pretrained(folder)


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Turn any error of the readers, which raise what they happen to raise, into one line."""
    try:
        yield
    except (BadInput, ClmError):
        raise
    except Exception as error:
        raise ClmError(
            f"{name}: the GGUF file cannot be converted ({one_line(error)}): it may be "
            "of an architecture that this version of transformers does not read"
        ) from None
