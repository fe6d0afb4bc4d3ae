"""Read, check and write manifests: JSONL or Parquet files of sensitive samples."""

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
    """Read all samples of a manifest (`.jsonl`, `.jsonl.gz` or `.parquet`).

    Raises:
        ManifestError: the file cannot be read, contains no sample, or has an invalid line.
        BadInput: an id, a kind or an unknown key contains a part of another sample's secret.
    """
    samples = list(iter_manifest(path, require_secrets=require_secrets))
    return refuse_secrets_in_ids(samples, f"of {path}")


def iter_manifest(path: str | Path, *, require_secrets: bool = True) -> Iterator[SensitiveSample]:
    """Yield the samples of a manifest one by one, in constant memory.

    Ids and kinds are not checked for parts of other samples' secrets: see `check_manifest`.

    Raises:
        ManifestError: as `read_manifest`, when the invalid line is reached.
    """
    ids = _UniqueIds()
    short = ShortSecrets(path)
    empty = True
    for line, row in _rows(Path(path)):
        empty = False
        try:
            sample = parse_row(row, require_secrets)
        except BadRow as bad:
            raise ManifestError(path, line, str(bad)) from None
        short.add(sample)
        first = ids.claim(sample.id, line)
        if first is not None and "id" in row:
            # Without the id: it may contain another sample's secret, which is not checked yet.
            raise ManifestError(path, line, f"its 'id' is already used in line {first}")
        yield sample if first is None else replace(sample, id=ids.claim_numbered(sample.id, line))
    if empty:
        raise ManifestError(path, None, "contains no sample: expected one JSON object per line")
    short.warn()


def check_manifest(path: str | Path) -> int:
    """Check a manifest as `read_manifest` does, in little memory, and count its samples.

    It is read twice: first the parts of all ids and kinds are hashed, then the parts of all secrets
    are looked up among them. A collision of 64-bit hashes would refuse a valid manifest, which is
    improbable; no invalid one is accepted.

    Raises:
        BadInput: a line is invalid, or an id or a kind contains a part of a secret.
    """
    if is_stream(Path(path)):
        raise BadInput(f"{path}: is read more than once: give a file, not a pipe")
    # Not at the top: the pytest plugin must load without numpy.
    import numpy as np

    count = 0
    hashes = array("q")
    for sample in iter_manifest(path):
        count += 1
        for text in (sample.id, *(kind for kind in sample.kinds if not is_kind_word(kind))):
            hashes.extend(hash(part) for part in shown_parts(text))
    shown = np.unique(np.frombuffer(hashes, dtype=np.int64))
    for number, sample in enumerate(iter_manifest(path), 1):
        parts = {
            part for secret in sample.secrets for part in masked_parts(secret.text, any_case=True)
        }
        secret = np.fromiter((hash(part) for part in parts), dtype=np.int64, count=len(parts))
        at = np.searchsorted(shown, secret)
        if (shown.take(at, mode="clip") == secret).any():
            raise BadInput(
                f"sample {number} of {path}: an 'id' or a 'kind' of the manifest contains a part "
                "of its secret, and reports show both: rename it"
            )
    return count


class _UniqueIds:
    """The ids of a manifest with their lines, in an SQLite database that spills to disk."""

    def __init__(self) -> None:
        self._seen = sqlite3.connect("")
        self._seen.execute("CREATE TABLE seen (id TEXT PRIMARY KEY, line INTEGER) WITHOUT ROWID")

    def claim(self, sample_id: str, line: int) -> int | None:
        """Claim an id for a line; return the line that already has it, if any."""
        try:
            self._seen.execute("INSERT INTO seen VALUES (?, ?)", (sample_id, line))
        except sqlite3.IntegrityError:
            query = "SELECT line FROM seen WHERE id = ?"
            return int(self._seen.execute(query, (sample_id,)).fetchone()[0])
        return None

    def claim_numbered(self, sample_id: str, line: int) -> str:
        """Claim and return the first free id of `ID-2`, `ID-3`, …."""
        return next(
            numbered
            for number in itertools.count(2)
            if self.claim(numbered := f"{sample_id}-{number}", line) is None
        )


def read_manifests(
    paths: Iterable[str | Path], *, require_secrets: bool = True
) -> list[SensitiveSample]:
    """Read the samples of several manifests, in order; ids must be unique across all of them.

    Raises:
        ManifestError: as `read_manifest`, or an id occurs in two manifests.
        BadInput: as `read_manifest`, across all manifests.
    """
    seen: dict[str, str | Path] = {}
    samples: list[SensitiveSample] = []
    for path in paths:
        for sample in read_manifest(path, require_secrets=require_secrets):
            if sample.id in seen:
                raise ManifestError(
                    path, None, f"the 'id' of a sample is already used in {seen[sample.id]}"
                )
            seen[sample.id] = path
            samples.append(sample)
    return refuse_secrets_in_ids(samples, "of these manifests")


def write_manifest(path: str | Path, samples: Iterable[SensitiveSample]) -> None:
    """Write samples as JSONL, atomically; unknown keys that were read are preserved."""
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
