"""Manifests: JSONL or Parquet files of sensitive samples."""

from __future__ import annotations

import itertools
import sqlite3
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from erasetest.errors import BadInput, ManifestError, MissingExtra
from erasetest.samples.manifest_rows import parse_row, to_line
from erasetest.samples.redactor import masked_parts, shown_parts
from erasetest.samples.sample import SensitiveSample
from erasetest.samples.secrecy import BadRow, ShortSecrets, is_kind_word, refuse_secrets_in_ids
from erasetest.support.atomic_files import is_stream, write_text
from erasetest.support.json_lines import rows


def read_manifest(path: str | Path, *, require_secrets: bool = True) -> list[SensitiveSample]:
    """All samples of a manifest (`.jsonl`, `.jsonl.gz` or `.parquet`).

    Raises:
        ManifestError: the file cannot be read, holds no sample, or a line is not of the form.
    """
    samples = list(iter_manifest(path, require_secrets=require_secrets))
    return refuse_secrets_in_ids(samples, f"of {path}")


def iter_manifest(path: str | Path, *, require_secrets: bool = True) -> Iterator[SensitiveSample]:
    """The samples of a manifest one by one, in memory that does not grow with it.

    What one sample's id or kind shows of another's secrets is not looked for: see `check_manifest`.

    Raises:
        ManifestError: as `read_manifest` does, once the line is reached.
    """
    names = _Names()
    short = ShortSecrets(path)
    empty = True
    for line, row in _rows(Path(path)):
        empty = False
        try:
            sample = parse_row(row, require_secrets)
        except BadRow as bad:
            raise ManifestError(path, line, str(bad)) from None
        short.look(sample)
        first = names.claim(sample.id, line)
        if first is not None and "id" in row:
            # Not the id itself, which may be another sample's secret: that is seen later.
            raise ManifestError(path, line, f"its 'id' stands in line {first} already")
        yield sample if first is None else replace(sample, id=names.another(sample.id, line))
    if empty:
        raise ManifestError(path, None, "holds no sample: expected one JSON object a line")
    short.warn()


def check_manifest(path: str | Path) -> int:
    """Read a manifest through, twice, and refuse what `read_manifest` would; how many samples.

    Raises:
        BadInput: a line is not of the form, or an id or a kind shows a part of a secret.
    """
    if is_stream(Path(path)):
        raise BadInput(f"{path}: is read more than once: give a file, not a pipe")
    # Here, because the pytest plugin must load without numpy.
    import numpy as np

    count = 0
    shown = array("q")
    for sample in iter_manifest(path):
        count += 1
        for text in (sample.id, *(kind for kind in sample.kinds if not is_kind_word(kind))):
            shown.extend(hash(part) for part in shown_parts(text))
    places = np.unique(np.frombuffer(shown, dtype=np.int64))
    for number, sample in enumerate(iter_manifest(path), 1):
        parts = {
            part for secret in sample.secrets for part in masked_parts(secret.text, any_case=True)
        }
        hashed = np.fromiter((hash(part) for part in parts), dtype=np.int64, count=len(parts))
        at = np.searchsorted(places, hashed)
        if (places.take(at, mode="clip") == hashed).any():
            raise BadInput(
                f"sample {number} of {path}: a part of its secret stands in an 'id' or a 'kind' of "
                "the manifest, and both are shown in reports"
            )
    return count


class _Names:
    """The ids that were seen, on disk once they are many."""

    def __init__(self) -> None:
        self._seen = sqlite3.connect("")
        self._seen.execute("CREATE TABLE seen (id TEXT PRIMARY KEY, line INTEGER) WITHOUT ROWID")

    def claim(self, name: str, line: int) -> int | None:
        """Take a name; the line that has it already, if one has."""
        try:
            self._seen.execute("INSERT INTO seen VALUES (?, ?)", (name, line))
        except sqlite3.IntegrityError:
            found = self._seen.execute("SELECT line FROM seen WHERE id = ?", (name,)).fetchone()
            return int(found[0])
        return None

    def another(self, name: str, line: int) -> str:
        """The first free one of `name-2`, `name-3`, …, taken."""
        return next(
            other
            for number in itertools.count(2)
            if self.claim(other := f"{name}-{number}", line) is None
        )


def read_manifests(paths: Iterable[str | Path]) -> list[SensitiveSample]:
    """The samples of several manifests, in order; an id may stand in one of them alone."""
    seen: dict[str, str | Path] = {}
    samples: list[SensitiveSample] = []
    for path in paths:
        for sample in read_manifest(path):
            if sample.id in seen:
                raise ManifestError(
                    path, None, f"the 'id' of a sample stands in {seen[sample.id]} already"
                )
            seen[sample.id] = path
            samples.append(sample)
    return refuse_secrets_in_ids(samples, "of these manifests")


def write_manifest(path: str | Path, samples: Iterable[SensitiveSample]) -> None:
    """Write samples as JSONL, atomically; unknown keys that were read are written again."""
    write_text(path, "".join(to_line(sample) + "\n" for sample in samples))


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    return _parquet_rows(path) if path.suffix == ".parquet" else rows(path)


def _parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise MissingExtra("pyarrow", "parquet", "reading a Parquet manifest") from None
    try:
        number = 0
        for batch in parquet.ParquetFile(path).iter_batches(batch_size=1024):
            for row in batch.to_pylist():
                number += 1
                yield number, {key: value for key, value in row.items() if value is not None}
    except (OSError, ValueError) as error:
        name = type(error).__name__
        raise ManifestError(path, None, f"cannot be read as Parquet ({name})") from None
