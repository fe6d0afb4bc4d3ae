"""Records of erasures in a file beside the weights of a checkpoint: ids and numbers, no content."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from erasetest.support.atomic_files import check_new_directory
from erasetest.support.sidecars import sidecar

NAME = "erasetest.json"
_SCHEMA = "erasetest.erasures/1"


@dataclass(frozen=True, slots=True)
class Record:
    """An erasure that a checkpoint went through."""

    method: str
    original: str
    """Fingerprint of the checkpoint that was erased from."""
    steps: int
    erased: bool
    ids: tuple[str, ...]


def read_records(folder: Path) -> tuple[Record, ...]:
    """Read the records of a checkpoint, the oldest first; none if there is no valid file."""
    try:
        given = json.loads((folder / NAME).read_text(encoding="utf-8"))
        if given["schema"] != _SCHEMA:
            return ()
        return tuple(Record(**{**entry, "ids": tuple(entry["ids"])}) for entry in given["erased"])
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def state_path(folder: Path) -> Path:
    """Return the path of the state from which a killed erasure to `folder` resumes."""
    return sidecar(folder, "state")


def check_new_checkpoint(folder: str | Path) -> None:
    """Refuse a folder that `check_new_directory` refuses. Call it before hours of work.

    Of a checkpoint that is there, the state of its making goes: the run was killed just after.
    """
    if (Path(folder) / NAME).is_file():
        with contextlib.suppress(OSError):
            state_path(Path(folder)).unlink(missing_ok=True)
    check_new_directory(folder)


def write_records(folder: Path, records: tuple[Record, ...]) -> None:
    """Write records to the folder of a checkpoint."""
    text = json.dumps({"schema": _SCHEMA, "erased": [asdict(r) for r in records]}, indent=1)
    (folder / NAME).write_text(text + "\n", encoding="utf-8")
