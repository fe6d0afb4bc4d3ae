"""Store of measures, written as they are computed, so that a stopped run can be resumed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erasetest.errors import BadInput
from erasetest.probes.measures import MEASURES, SampleMeasures
from erasetest.samples import SensitiveSample
from erasetest.support.atomic_files import id_key

if TYPE_CHECKING:
    from erasetest.clm import Clm

Measure = Callable[[Sequence[SensitiveSample]], list[SampleMeasures]]
"""Function that measures samples, with a CLM or an endpoint."""

_VERSION = 3
"""Version of the table and of the meaning of the measures; results of others are not returned.

A new measure needs no new version, because the names of all measures belong to the key.
"""

_COLUMNS = ("clm", "settings", "sample", "content", "row")

_NOT_A_STORE = (
    "{path}: is not a store of measures, or is damaged: name another file to store measures in"
)

_LOCK_TIMEOUT = 60.0
"""Seconds to wait for the write of another process."""


def identity(clm: Clm) -> str:
    """Return the key of a CLM: fingerprint of its files, dtype, type of device, end tokens."""
    ends = ",".join(map(str, sorted(clm.end_tokens)))
    return f"{clm.fingerprint} {clm.dtype} {clm.device.type} {ends}"


class ProbeStore:
    """Measures in an SQLite file, by CLM, probe settings and sample, without any text of a sample.

    The key of a sample is its id and a keyed hash of its content and spans; that of a CLM is
    `identity`. Several processes may share a store.

    Raises:
        BadInput: the file is not a store, is damaged, or cannot be written.
    """

    def __init__(self, path: str | Path | None, identity: str, settings: Mapping[str, Any]) -> None:
        """Open or create a store; without a path it is temporary and private to this process."""
        self.path = Path(path) if path is not None else None
        self._clm = identity
        self._settings = json.dumps([_VERSION, MEASURES, dict(settings)], sort_keys=True)
        with self._named_errors():
            self._file = sqlite3.connect(
                self.path.absolute() if self.path is not None else "",
                timeout=_LOCK_TIMEOUT,
                isolation_level=None,
            )
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS measured (clm TEXT, settings TEXT, sample TEXT, "
                "content TEXT, row TEXT, PRIMARY KEY (clm, settings, sample, content))"
            )

    def measured(
        self, samples: Sequence[SensitiveSample], measure: Measure
    ) -> list[SampleMeasures]:
        """Return the stored measures of these samples; if any is missing, measure and store all."""
        found = self.get(samples)
        if found is None:
            found = measure(samples)
            self.put(samples, found)
        return found

    def get(self, samples: Sequence[SensitiveSample]) -> list[SampleMeasures] | None:
        """Return the stored measures of these samples; None if any is missing."""
        found: list[SampleMeasures] = []
        with self._named_errors():
            for sample in samples:
                row = self._file.execute(
                    "SELECT row FROM measured WHERE clm = ? AND settings = ? AND sample = ? "
                    "AND content = ?",
                    (self._clm, self._settings, sample.id, _digest(sample)),
                ).fetchone()
                if row is None:
                    return None
                found.append(SampleMeasures.from_dict(json.loads(row[0])))
        return found

    def put(self, samples: Sequence[SensitiveSample], measured: Sequence[SampleMeasures]) -> None:
        """Store the measures of these samples, all or none of them."""
        rows = [
            (self._clm, self._settings, sample.id, _digest(sample), json.dumps(one.as_dict()))
            for sample, one in zip(samples, measured, strict=True)
        ]
        with self._named_errors():
            self._file.execute("BEGIN IMMEDIATE")
            try:
                self._file.executemany("INSERT OR REPLACE INTO measured VALUES (?,?,?,?,?)", rows)
                self._file.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._file.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def remove(self) -> None:
        """Close and delete the file, once the output that it was for is complete."""
        self.close()
        for suffix in ("", "-wal", "-shm") if self.path is not None else ():
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            reason = "the disk is full" if "full" in str(error) else str(error)
            raise BadInput(
                f"{self.path}: measures cannot be stored there: {reason}: "
                "fix that or name another file; measures that it has stay there"
            ) from None
        except (sqlite3.DatabaseError, ValueError, KeyError, TypeError):
            raise BadInput(_NOT_A_STORE.format(path=self.path)) from None


def check_store(path: str | Path) -> None:
    """Refuse an existing file that is not a store. Call it before a CLM is loaded.

    Raises:
        BadInput: naming it.
    """
    path = Path(path)
    if not path.exists() or path.stat().st_size == 0:
        return
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_LOCK_TIMEOUT)
        ) as file:
            columns = [row[1] for row in file.execute("PRAGMA table_info(measured)")]
    except sqlite3.Error:
        columns = []
    if columns != list(_COLUMNS):
        raise BadInput(_NOT_A_STORE.format(path=path))


def _digest(sample: SensitiveSample) -> str:
    spans: list[Any] = [[s.start, s.end, s.kind] for s in sample.secrets]
    text = json.dumps([spans, sample.content.reveal()])
    return hashlib.blake2b(text.encode(), digest_size=16, key=id_key()[:64]).hexdigest()
