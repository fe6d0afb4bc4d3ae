"""Save an erased CLM: atomically, in the original's dtype, with a model card."""

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
from erasetest.clm.model import Clm
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
        BadInput: the folder is not empty, or cannot be written.
    """
    kinds = sorted({kind for sample in samples for kind in sample.kinds})
    ids = tuple(sample.id for sample in samples)
    record = Record(erasure.method, clm.fingerprint, erasure.steps, erasure.erased, ids=ids)
    merged = erasure.adapter is None or erasure.settings["lora"]["merge"]
    with new_directory(folder) as place, _os_errors():
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
            # Subtracted from 0, as negation would print an unchanged accuracy as -0.00.
            change=f"{0 - 100 * erasure.retained_fall:+.2f}",
            ranked=erasure.ranked(),
            adapter=not merged,
            ids=escape(", ".join(ids)),
        )


def checkpoint_bytes(clm: Clm) -> int:
    """Return the approximate size of a checkpoint, in bytes."""
    return clm.parameters * clm.stored_dtype.itemsize


@contextlib.contextmanager
def _os_errors() -> Iterator[None]:
    """Turn a SafetensorError that wraps an error of the system into an OSError."""
    try:
        yield
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from None


def _write_model(clm: Clm, place: Path) -> None:
    model: Any = clm.model
    trained_dtype = clm.dtype
    try:
        _cast_parameters(model, clm.stored_dtype)
        model.save_pretrained(place)
    finally:
        _cast_parameters(model, trained_dtype)
    clm.tokenizer.save_pretrained(place)


def _cast_parameters(model: torch.nn.Module, dtype: torch.dtype) -> None:
    """Cast the parameters, but no buffers: rounded position tables would change the outputs."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
