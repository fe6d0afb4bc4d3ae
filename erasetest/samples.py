"""Sensitive samples and the manifests that hold them."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import sqlite3
import warnings
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from erasetest.errors import BadInput, ManifestError, MissingExtra, ShortSecretWarning
from erasetest.files import id_key, is_stream, write_text
from erasetest.jsonl import rows
from erasetest.redact import SHORTEST, Masked, Redactor, masked_parts, shown_parts

_MAX_ID = 200
_NAMED = 5
"""Samples that a warning names."""
_WORDS = re.compile(r"[a-z]+(-[a-z]+)*")


@dataclass(frozen=True, slots=True)
class Secret:
    """A half-open span `[start, end)` of Unicode code points of a sample, and what it is.

    `extra` has the unknown keys. A value in which a part of a secret stands is `Masked`, as JSON.
    """

    start: int
    end: int
    kind: str
    text: Masked = field(repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a sample was found."""

    path: str
    line: int | None = None

    def __str__(self) -> str:
        return self.path if self.line is None else f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class SensitiveSample:
    """One piece of code with its secrets. Content and secrets are masked wherever shown.

    `extra` has the unknown keys. A value in which a part of a secret stands is `Masked`, as JSON.
    """

    id: str
    content: Masked = field(repr=False)
    secrets: tuple[Secret, ...]
    source: Source | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its secrets, each once, in order of first appearance."""
        return tuple(dict.fromkeys(secret.kind for secret in self.secrets))


def make_sample(
    content: str,
    spans: Iterable[tuple[int, int, str]] = (),
    *,
    id: str | None = None,  # noqa: A002 - the manifest's word
    source: Source | None = None,
) -> SensitiveSample:
    """A sample of content and `(start, end, kind)` spans; without `id`, a keyed hash names it."""
    secrets = tuple(
        Secret(start, end, kind, Masked(content[start:end])) for start, end, kind in spans
    )
    return SensitiveSample(id or content_id(content), Masked(content), secrets, source)


def content_id(content: str) -> str:
    """A name for content that nobody without the key can link to it (keyed BLAKE2b, 64 bits)."""
    return hashlib.blake2b(content.encode(), digest_size=8, key=id_key()[:64]).hexdigest()


def read_manifest(path: str | Path, *, require_secrets: bool = True) -> list[SensitiveSample]:
    """All samples of a manifest (`.jsonl`, `.jsonl.gz` or `.parquet`).

    Raises:
        ManifestError: the file cannot be read, holds no sample, or a line is not of the form.
    """
    samples = list(iter_manifest(path, require_secrets=require_secrets))
    return showing_nothing(samples, f"of {path}")


def iter_manifest(path: str | Path, *, require_secrets: bool = True) -> Iterator[SensitiveSample]:
    """The samples of a manifest one by one, in memory that does not grow with it.

    What one sample's id or kind shows of another's secrets is not looked for: see `check_manifest`.

    Raises:
        ManifestError: as `read_manifest` does, once the line is reached.
    """
    names = _Names()
    short = _ShortSecrets(path)
    empty = True
    for line, row in _rows(Path(path)):
        empty = False
        try:
            sample = _parse(row, require_secrets)
        except _BadRow as bad:
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
        for text in (sample.id, *(kind for kind in sample.kinds if not _WORDS.fullmatch(kind))):
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


class _ShortSecrets:
    """The secrets of a manifest that are too short to be masked, by sample and place."""

    def __init__(self, path: str | Path) -> None:
        self._path = path
        self._first: list[str] = []
        self._count = 0

    def look(self, sample: SensitiveSample) -> None:
        """Take note of a sample's secrets."""
        for secret in sample.secrets:
            if len(secret.text) < SHORTEST:
                self._count += 1
                if len(self._first) < _NAMED:
                    self._first.append(f"{sample.id} [{secret.start}, {secret.end})")

    def warn(self) -> None:
        """Say which they are; the text of none is said."""
        if self._count:
            more = f" and {self._count - _NAMED} more" if self._count > _NAMED else ""
            warnings.warn(
                f"{self._path}: secrets of less than {SHORTEST} characters cannot be masked where "
                f"output shows them: {', '.join(self._first)}{more}; leave them out, or mark more "
                "of the text around them",
                ShortSecretWarning,
                stacklevel=2,
            )


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
    return showing_nothing(samples, "of these manifests")


def write_manifest(path: str | Path, samples: Iterable[SensitiveSample]) -> None:
    """Write samples as JSONL, atomically; unknown keys that were read are written again."""
    write_text(path, "".join(to_line(sample) + "\n" for sample in samples))


def to_line(sample: SensitiveSample) -> str:
    """A sample as one line of a manifest. The line holds the secrets in clear."""
    row: dict[str, Any] = {
        "id": sample.id,
        "content": sample.content.reveal(),
        "secrets": [
            {"start": s.start, "end": s.end, "kind": s.kind, **_revealed(s.extra)}
            for s in sample.secrets
        ],
    }
    if sample.source is not None:
        row["source"] = {"path": sample.source.path}
        if sample.source.line is not None:
            row["source"]["line"] = sample.source.line
    line = json.dumps({**row, **_revealed(sample.extra)}, ensure_ascii=False)
    # A lone surrogate in an unknown key has no UTF-8; backslashreplace writes JSON's escape of it.
    return line.encode(errors="backslashreplace").decode()


def _revealed(extra: Mapping[str, Any]) -> dict[str, Any]:
    return {k: json.loads(v.reveal()) if isinstance(v, Masked) else v for k, v in extra.items()}


def _hidden(extra: Mapping[str, Any], names: Redactor) -> dict[str, Any]:
    """Unknown keys, with the values masked in which a part of a secret stands.

    Raises:
        _BadRow: a key itself holds a part of a secret.
    """
    hidden: dict[str, Any] = {}
    for key, value in extra.items():
        if names.finds(key):
            raise _BadRow("an unknown key holds a part of a secret, and keys are shown")
        if not isinstance(value, Masked | bool | int | float | None):
            # Parquet has values that JSON has not, such as dates.
            text = json.dumps(value, ensure_ascii=False, default=str)
            value = Masked(text) if names.finds(text) else value
        hidden[key] = value
    return hidden


class _BadRow(Exception):
    """What is wrong with a row; never quotes its content."""


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


def _parse(row: dict[str, Any], require_secrets: bool) -> SensitiveSample:
    content = row.get("content")
    if not isinstance(content, str) or not content:
        raise _BadRow("'content' must be a string that is not empty")
    if any("\ud800" <= character <= "\udfff" for character in content):
        raise _BadRow("'content' holds a lone surrogate, which no tokenizer can read")
    secrets = tuple(_secret(content, given) for given in _secret_rows(row, require_secrets))
    sample_id = row.get("id")
    sample_id = content_id(content) if sample_id is None else _name("id", sample_id)
    names = Redactor((secret.text for secret in secrets), any_case=True)
    if names.finds(sample_id):
        raise _BadRow("'id' holds a part of a secret, and ids are shown in reports")
    if any(_shows(names, secret.kind) for secret in secrets):
        raise _BadRow("'kind' holds a part of a secret, and kinds are shown in reports")
    extra = {k: v for k, v in row.items() if k not in {"id", "content", "secrets", "source"}}
    return SensitiveSample(
        sample_id,
        Masked(content),
        tuple(replace(secret, extra=_hidden(secret.extra, names)) for secret in secrets),
        _source(row.get("source"), names),
        _hidden(extra, names),
    )


def _secret_rows(row: dict[str, Any], required: bool) -> list[Any]:
    given = row.get("secrets", [])
    if not isinstance(given, list):
        raise _BadRow(f"'secrets' must be a list, got {_type(given)}")
    if required and not given:
        raise _BadRow("'secrets' is empty: a sensitive sample has at least one secret")
    return given


def _secret(content: str, given: object) -> Secret:
    if not isinstance(given, dict):
        raise _BadRow(f"a secret must be an object, got {_type(given)}")
    start, end, kind = given.get("start"), given.get("end"), given.get("kind")
    if type(start) is not int or type(end) is not int:
        raise _BadRow("a secret needs whole numbers 'start' and 'end'")
    if not 0 <= start < end <= len(content):
        raise _BadRow(
            f"span [{start}, {end}) is empty or outside the content's {len(content)} code points"
        )
    if kind is None:
        raise _BadRow("a secret needs a 'kind', such as \"aws-access-key\"")
    kind = _name("kind", kind)
    extra = {k: v for k, v in given.items() if k not in {"start", "end", "kind"}}
    return Secret(start, end, kind, Masked(content[start:end]), extra)


def _name(key: str, given: object) -> str:
    """A name that is shown in reports; never quoted where it cannot be one."""
    expected = f"{key!r} must be a string of 1 to {_MAX_ID} printable characters"
    if not isinstance(given, str):
        raise _BadRow(f"{expected}, got {_type(given)}")
    if not 0 < len(given) <= _MAX_ID:
        raise _BadRow(f"{expected}, got {len(given)} characters")
    if not given.isprintable():
        raise _BadRow(f"{expected}, got one that cannot be printed")
    return given


def showing_nothing(samples: Sequence[SensitiveSample], where: str) -> list[SensitiveSample]:
    """The samples, with no secret of another one in what reports show of each.

    Raises:
        BadInput: an id, a kind or an unknown key holds a part of a secret.
    """
    names = Redactor(
        (secret.text for sample in samples for secret in sample.secrets), any_case=True
    )
    shown: list[SensitiveSample] = []
    for number, sample in enumerate(samples, 1):
        if names.finds(sample.id) or any(_shows(names, kind) for kind in sample.kinds):
            raise BadInput(
                f"sample {number} {where}: its 'id' or a 'kind' holds a part of a secret of "
                "another sample, and both are shown in reports"
            )
        source = sample.source
        hidden = Source(names(source.path), source.line) if source is not None else None
        try:
            extra = _hidden(sample.extra, names)
            secrets = tuple(replace(s, extra=_hidden(s.extra, names)) for s in sample.secrets)
        except _BadRow as bad:
            raise BadInput(f"sample {number} {where}: {bad}") from None
        shown.append(replace(sample, source=hidden, extra=extra, secrets=secrets))
    return shown


def _shows(names: Redactor, kind: str) -> bool:
    # A password may be the word "password", which its kind then gives away no more than it did.
    return not _WORDS.fullmatch(kind) and names.finds(kind)


def _source(given: object, names: Redactor) -> Source | None:
    if given is None:
        return None
    if not isinstance(given, dict) or not isinstance(given.get("path"), str):
        raise _BadRow("'source' must be an object with a string 'path'")
    line = given.get("line")
    if line is not None and type(line) is not int:
        raise _BadRow("'source.line' must be a whole number")
    # Shown on terminals: what cannot be printed is escaped.
    path = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in given["path"])
    return Source(names(path), line)


def _type(value: object) -> str:
    return type(value).__name__
