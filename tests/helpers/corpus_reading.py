"""Write data sets, and read corpora as worker processes do."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import pickle
from pathlib import Path
from typing import Any

from erasetest.scanning.sources import Text, plan
from erasetest.scanning.walk import Skipped

OPENERS = {"": open, ".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def read_corpus(*paths: Path, **options: Any) -> tuple[list[Text], list[Skipped]]:
    """Return the texts of a corpus and what is skipped, with each job pickled once."""
    found: list[Text] = []
    skipped: list[Skipped] = []
    keys = []
    for job in plan(paths, **options):
        if isinstance(job, Skipped):
            skipped.append(job)
            continue
        keys.append(job.key)
        assert job.size >= 0
        assert job.name
        for text in pickle.loads(pickle.dumps(job)).texts():
            (found if isinstance(text, Text) else skipped).append(text)  # type: ignore[arg-type]
    assert len(set(keys)) == len(keys)
    return found, skipped


def names_and_reasons(skipped: list[Skipped]) -> list[tuple[str, str]]:
    return [(Path(path).name, reason) for path, reason in skipped]


def write_records(path: Path, rows: list[Any]) -> None:
    """Write a data set of JSON lines, compressed by its suffix; bytes are written as they are."""
    opener = OPENERS.get(path.suffix, open)
    with opener(path, "wb") as file:
        for row in rows:
            file.write(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n")
