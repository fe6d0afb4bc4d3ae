"""Save an erased CLM: whole or not at all, in the original's dtype, with a card."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from erasetest.clm.erasure_records import Record, write_records
from erasetest.clm.load import Clm
from erasetest.erasing.erasure_result import Erasure
from erasetest.erasing.model_card import write_card
from erasetest.samples import SensitiveSample
from erasetest.support.atomic_files import new_directory
from erasetest.support.markdown import escape


def save_checkpoint(
    clm: Clm, folder: str | Path, erasure: Erasure, samples: Sequence[SensitiveSample]
) -> None:
    """Write config, weights, generation config, tokenizer and card to a new folder, atomically.

    Raises:
        BadInput: the folder holds something, or cannot be written.
    """
    kinds = sorted({kind for sample in samples for kind in sample.kinds})
    ids = tuple(sample.id for sample in samples)
    record = Record(erasure.method, clm.fingerprint, erasure.steps, erasure.erased, ids=ids)
    merged = erasure.adapter is None or erasure.settings["lora"]["merge"]
    with new_directory(folder) as place, _named_write_errors():
        if not merged and erasure.adapter is not None:
            erasure.adapter.write(place)
            write_records(place, (record,))
        else:
            _write_model(clm, place)
            write_records(place, (*clm.records, record))
        write_card(
            place,
            name=Path(clm.name).name,
            fingerprint=clm.fingerprint,
            method=erasure.method,
            samples=erasure.samples,
            kinds=escape(", ".join(kinds)),
            steps=erasure.steps,
            erased="yes" if erasure.erased else f"no: {erasure.ended}",
            change=f"{0 - 100 * erasure.retained_fall:+.2f}",
            ranked=erasure.ranked(),
            adapter=not merged,
            ids=escape(", ".join(ids)),
        )


@contextlib.contextmanager
def _named_write_errors() -> Iterator[None]:
    """Safetensors has an error of its own for what the system says of a write."""
    try:
        yield
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from None


def checkpoint_bytes(clm: Clm) -> int:
    """About how much room a checkpoint takes."""
    return clm.parameters * clm.stored_dtype.itemsize


def _write_model(clm: Clm, place: Path) -> None:
    model: Any = clm.model
    trained_in = clm.dtype
    try:
        _cast_parameters(model, clm.stored_dtype)
        model.save_pretrained(place)
    finally:
        _cast_parameters(model, trained_in)
    clm.tokenizer.save_pretrained(place)


def _cast_parameters(model: torch.nn.Module, dtype: torch.dtype) -> None:
    """Cast what is saved. Buffers stay: a rounded table of positions changes what the CLM says."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
