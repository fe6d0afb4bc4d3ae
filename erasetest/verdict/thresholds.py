"""Thresholds: the value of each measure that control secrets stay below."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from erasetest.errors import ErasetestWarning, ManifestError
from erasetest.probes.prompt_names import LONGEST, PROMPTS
from erasetest.support.json_documents import read_document
from erasetest.support.statistics import Proportion

SCHEMA = "erasetest.thresholds/1"
JUDGED = ("ma", "el_3", "el_5", "el_10")
"""The measures that have thresholds, all from 0 to 1."""

DECISIVE = ("ma", "el_10")
"""The measures that a verdict depends on, besides `extracted`; the paper stops erasing by these.

EL_3 and EL_5 are reported with their thresholds, but decide nothing: an erased CLM that repeats
three digits reproduces a trigram of a number by chance (observed: EL_3 0.23 with EL_5 0 and 17 nats
per token).
"""

QUERIES_LIMIT = 10_000
"""Number of samples within which an extraction at even odds is a leak, by default."""

ONE_PROMPT = (LONGEST,)
"""The prompts of thresholds that name none: papers and older files know one."""

_AGAIN = ", and the same again on the erased CLM"


@dataclass(frozen=True, slots=True, repr=False)
class Thresholds:
    """A value per measure, for each kind of secret and for all other kinds."""

    source: str
    """Where they come from, in words."""
    any_kind: Mapping[str, float]
    """The thresholds of kinds that are not in `kinds`."""
    kinds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    references: Mapping[str, int] = field(default_factory=dict)
    """Number of control secrets of each kind that they were calibrated on."""
    queries_limit: float = QUERIES_LIMIT
    """Number of samples within which an extraction at even odds is a leak; 0 for never."""
    prompts: tuple[str, ...] = PROMPTS
    """The prompts whose worst measure they limit (`probes.prompts`)."""
    false_alarms: Mapping[str, Proportion] = field(default_factory=dict)
    """Control secrets that they take for leaks: "any" for all kinds, and by kind."""

    def __repr__(self) -> str:
        return f"Thresholds({self.source!r}, kinds={sorted(self.kinds)})"

    def of(self, kind: str) -> Mapping[str, float]:
        """Return the thresholds that a secret of this kind is judged by."""
        return {**self.any_kind, **self.kinds.get(kind, {})}

    def without_effect(self) -> list[str]:
        """Return the kinds (or "measures" for `any_kind`) whose thresholds no secret can exceed."""
        rows = {"measures": self.any_kind, **{kind: self.of(kind) for kind in self.kinds}}
        return [
            kind
            for kind, values in rows.items()
            if all(values.get(name, 1) >= 1 for name in DECISIVE)
        ]

    def stricter(self, other: Thresholds) -> Thresholds:
        """Return the smaller of both values, for each kind and measure."""
        kinds = {
            kind: _smaller(self.of(kind), other.of(kind)) for kind in {*self.kinds, *other.kinds}
        }
        source = self.source.removesuffix(_AGAIN) + _AGAIN
        any_kind = _smaller(self.any_kind, other.any_kind)
        queries = max(self.queries_limit, other.queries_limit)
        prompts = tuple(name for name in PROMPTS if name in {*self.prompts, *other.prompts})
        kinds = dict(sorted(kinds.items()))
        return Thresholds(source, any_kind, kinds, self.references, queries, prompts)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON object of thresholds files and reports."""
        return {
            "schema": SCHEMA,
            "source": self.source,
            "measures": dict(self.any_kind),
            "kinds": {kind: dict(values) for kind, values in self.kinds.items()},
            "references": dict(self.references),
            "queries_limit": self.queries_limit,
            "prompts": list(self.prompts),
            **(
                {"false_alarms": {kind: rate.as_dict() for kind, rate in self.false_alarms.items()}}
                if self.false_alarms
                else {}
            ),
        }

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Thresholds:
        """Return the thresholds that `as_dict` was called on, without `false_alarms`."""
        return cls(
            row["source"],
            row["measures"],
            row.get("kinds", {}),
            row.get("references", {}),
            row.get("queries_limit", QUERIES_LIMIT),
            tuple(row.get("prompts", ONE_PROMPT)),
        )


def largest(kinds: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return the largest threshold of any kind, for each measure."""
    return {
        name: max(row[name] for row in kinds.values())
        for name in JUDGED
        if all(name in row for row in kinds.values())
    }


def _smaller(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    names = dict.fromkeys([*one, *other])
    return {name: min(one.get(name, 1.0), other.get(name, 1.0)) for name in names}


def read_thresholds(path: str | Path) -> Thresholds:
    """Read a thresholds file.

    Raises:
        ManifestError: the file cannot be read or has another form, a value is not between 0 and 1,
            or no secret of a kind could exceed its thresholds.
    """
    row = read_document(path, SCHEMA, "a thresholds file")
    kinds = row.get("kinds", {})
    if not isinstance(kinds, dict):
        raise ManifestError(path, None, "'kinds' must be an object")
    for key, values in {"measures": row.get("measures"), **kinds}.items():
        _check(path, key, values)
    if "ma" not in row["measures"]:
        raise ManifestError(path, None, "'measures' needs 'ma', by which leaks are judged")
    references = row.get("references", {})
    if not isinstance(references, dict) or any(type(n) is not int for n in references.values()):
        raise ManifestError(path, None, "'references' must be an object of kinds and counts")
    queries = row.get("queries_limit", QUERIES_LIMIT)
    if type(queries) not in (int, float) or not 0 <= queries < math.inf:
        raise ManifestError(path, None, "'queries_limit' must be a number of samples, 0 or more")
    prompts = row.get("prompts", list(ONE_PROMPT))
    listed = isinstance(prompts, list) and all(name in PROMPTS for name in prompts)
    if not listed or LONGEST not in prompts:
        known = ", ".join(map(repr, PROMPTS))
        raise ManifestError(path, None, f"'prompts' must list {LONGEST!r}, and others of {known}")
    source = str(row.get("source", path))
    found = Thresholds(source, row["measures"], kinds, references, queries, tuple(prompts))
    useless = found.without_effect()
    if useless:
        raise ManifestError(
            path,
            None,
            f"the thresholds in {', '.join(map(repr, useless))} are 1, which no secret exceeds, "
            "however well it is memorized: calibrate on secrets that the CLM was not trained on",
        )
    if "prompts" not in row:
        warnings.warn(
            f"{path}: thresholds without 'prompts' are of one prompt: secrets are asked for with "
            "the longest alone; calibrate again to ask with all of them",
            ErasetestWarning,
            stacklevel=2,
        )
    return found


def _check(path: str | Path, key: str, values: object) -> None:
    if not isinstance(values, dict) or (key == "measures" and not values):
        raise ManifestError(path, None, f"{key!r} must be an object of measures and values")
    for name, value in values.items():
        if name not in JUDGED:
            known = ", ".join(JUDGED)
            raise ManifestError(
                path, None, f"{name!r} in {key!r} is not a measure: expected {known}"
            )
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 <= value <= 1:
            raise ManifestError(path, None, f"{name!r} in {key!r} must be between 0 and 1")
