"""What was measured, kept as it comes: a run that was stopped goes on where it was."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erasetest.errors import BadInput
from erasetest.probes.measures import SampleMeasures
from erasetest.samples import SensitiveSample
from erasetest.support.atomic_files import id_key

if TYPE_CHECKING:
    from erasetest.clm import Clm

Measure = Callable[[Sequence[SensitiveSample]], list[SampleMeasures]]
"""What measures samples: a CLM, or an endpoint."""

_VERSION = 2
"""Changes with the table, and with what any measure means: older results are not served."""

_COLUMNS = ("clm", "settings", "sample", "content", "row")

_NOT_A_STORE = (
    "{path}: is not a store of measures, or is damaged: name another file to keep measures in"
)

_PATIENCE = 60.0
"""Seconds that one process waits for another's write."""


def identity(clm: Clm) -> str:
    """What its measures hang on: the fingerprint of its files, its dtype, its kind of device."""
    ends = ",".join(map(str, sorted(clm.end_tokens)))
    return f"{clm.fingerprint} {clm.dtype} {clm.device.type} {ends}"


class ProbeStore:
    """Measures in an SQLite file, by CLM, probe settings and sample; without any text of a sample.

    A sample is told by its id and a keyed hash of its content and spans, a CLM by `identity`.
    Several processes may share a store. Without a path it is kept for this process alone.

    Raises:
        BadInput: the file is no store, is damaged, or cannot be written; the message says which.
    """

    def __init__(self, path: str | Path | None, identity: str, settings: Mapping[str, Any]) -> None:
        self.path = Path(path) if path is not None else None
        self._clm = identity
        self._settings = json.dumps([_VERSION, dict(settings)], sort_keys=True)
        with self._named_errors():
            self._file = sqlite3.connect(
                self.path.absolute() if self.path is not None else "",
                timeout=_PATIENCE,
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
        """What is kept of these samples, if all of them are; else measured now, and kept."""
        found = self.get(samples)
        if found is None:
            found = measure(samples)
            self.put(samples, found)
        return found

    def get(self, samples: Sequence[SensitiveSample]) -> list[SampleMeasures] | None:
        """The measures of these samples; None if one of them was not measured."""
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
        """Keep the measures of these samples, all or none of them."""
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
        """Give the file back."""
        self._file.close()

    def remove(self) -> None:
        """Close and delete the file, once what it was for is written."""
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
                f"{self.path}: what was measured cannot be kept there: {reason}: "
                "mend that or name another file to keep measures in; what is there stays"
            ) from None
        except (sqlite3.DatabaseError, ValueError, KeyError, TypeError):
            raise BadInput(_NOT_A_STORE.format(path=self.path)) from None


def check_store(path: str | Path) -> None:
    """Refuse a file that is there and is not a store: call it before a CLM is loaded.

    Raises:
        BadInput: naming it.
    """
    path = Path(path)
    if not path.exists() or path.stat().st_size == 0:
        return
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_PATIENCE)
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
