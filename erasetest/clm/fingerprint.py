"""Fingerprint of a checkpoint: a hash of the content of its files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

WEIGHTS = (".safetensors", ".bin")
"""Suffixes of weights."""

_SUFFIXES = (*WEIGHTS, ".json", ".txt", ".model", ".py")
"""Suffixes of weights, configurations (including the end tokens of generation), vocabularies and
code."""


def fingerprint(
    folder: Path, adapter: Path | None = None, suffixes: Sequence[str] = _SUFFIXES
) -> str:
    """Return 128 bits, in hexadecimal, over weights, configuration and tokenizer.

    The folder's path and modification times do not change it. An adapter's files are hashed after
    those of its base model. Only files with one of the suffixes are read.
    """
    digest = hashlib.blake2b(digest_size=16)
    for place in (folder, adapter):
        for path in _files(place, suffixes) if place is not None else ():
            with path.open("rb") as file:
                inner = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32))
            digest.update(path.name.encode() + b"\0" + inner.digest())
        digest.update(b"\1")
    return digest.hexdigest()


def _files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and path.suffix in suffixes)
