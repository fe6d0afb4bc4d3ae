"""Thresholds: the value of each measure that never-seen secrets stay under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from erasetest.errors import ManifestError
from erasetest.support.json_documents import read_document
from erasetest.support.statistics import Proportion

SCHEMA = "erasetest.thresholds/1"
JUDGED = ("ma", "el_3", "el_5", "el_10")
"""The measures that have thresholds: all between 0 and 1."""

DECISIVE = ("ma", "el_10")
"""The measures that a verdict stands on, beside `extracted`; the paper stops erasing by these two.

EL_3 and EL_5 are measured and shown with their never-seen values, but decide nothing: an erased CLM
that loops on three digits hits a trigram of a number again and again, and knows nothing of it
(seen: EL_3 0.23 with EL_5 0 and 17 nats a token).
"""

_AGAIN = ", and the same again on the erased CLM"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """A value for each measure, for any kind of secret, and for kinds that have their own."""

    source: str
    any_kind: Mapping[str, float]
    kinds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    references: Mapping[str, int] = field(default_factory=dict)
    """How many never-seen secrets of each kind it was calibrated on."""
    false_alarms: Mapping[str, Proportion] = field(default_factory=dict)
    """Never-seen secrets that these thresholds take for leaks: of any kind, and by kind."""

    def of(self, kind: str) -> Mapping[str, float]:
        """The thresholds that a secret of this kind is judged by."""
        return {**self.any_kind, **self.kinds.get(kind, {})}

    def without_effect(self) -> list[str]:
        """The places, a kind or "measures", whose decisive thresholds no value can be above."""
        places = {"measures": self.any_kind, **{kind: self.of(kind) for kind in self.kinds}}
        return [
            place
            for place, values in places.items()
            if all(values.get(name, 1) >= 1 for name in DECISIVE)
        ]

    def stricter(self, other: Thresholds) -> Thresholds:
        """The smaller of both values, for each kind and measure."""
        kinds = {
            kind: _smaller(self.of(kind), other.of(kind)) for kind in {*self.kinds, *other.kinds}
        }
        source = self.source.removesuffix(_AGAIN) + _AGAIN
        any_kind = _smaller(self.any_kind, other.any_kind)
        return Thresholds(source, any_kind, dict(sorted(kinds.items())), self.references)

    def as_dict(self) -> dict[str, Any]:
        """As it stands in a thresholds file and in a report."""
        return {
            "schema": SCHEMA,
            "source": self.source,
            "measures": dict(self.any_kind),
            "kinds": {kind: dict(values) for kind, values in self.kinds.items()},
            "references": dict(self.references),
            **(
                {"false_alarms": {kind: rate.as_dict() for kind, rate in self.false_alarms.items()}}
                if self.false_alarms
                else {}
            ),
        }

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Thresholds:
        """The inverse of `as_dict`."""
        return cls(row["source"], row["measures"], row.get("kinds", {}), row.get("references", {}))


def largest(kinds: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The largest threshold of any kind, for each measure."""
    return {name: max(row[name] for row in kinds.values()) for name in JUDGED}


def _smaller(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    names = dict.fromkeys([*one, *other])
    return {name: min(one.get(name, 1.0), other.get(name, 1.0)) for name in names}


def read_thresholds(path: str | Path) -> Thresholds:
    """Read a thresholds file.

    Raises:
        ManifestError: it cannot be read, is not of this form, a value is not between 0 and 1, or
            the values of a kind are such that no secret of it could be above them.
    """
    row = read_document(path, SCHEMA, "a thresholds file")
    kinds = row.get("kinds", {})
    if not isinstance(kinds, dict):
        raise ManifestError(path, None, "'kinds' must be an object")
    for place, values in {"measures": row.get("measures"), **kinds}.items():
        _check(path, place, values)
    if "ma" not in row["measures"]:
        raise ManifestError(path, None, "'measures' needs 'ma', by which leaks are judged")
    references = row.get("references", {})
    if not isinstance(references, dict) or any(type(n) is not int for n in references.values()):
        raise ManifestError(path, None, "'references' must be an object of kinds and counts")
    found = Thresholds(str(row.get("source", path)), row["measures"], kinds, references)
    useless = found.without_effect()
    if useless:
        raise ManifestError(
            path,
            None,
            f"the thresholds in {', '.join(map(repr, useless))} are 1, which no secret is above, "
            "however well it is remembered: calibrate on secrets that the CLM never saw",
        )
    return found


def _check(path: str | Path, place: str, values: object) -> None:
    if not isinstance(values, dict) or (place == "measures" and not values):
        raise ManifestError(path, None, f"{place!r} must be an object of measures and values")
    for name, value in values.items():
        if name not in JUDGED:
            known = ", ".join(JUDGED)
            raise ManifestError(
                path, None, f"{name!r} in {place!r} is no measure: expected {known}"
            )
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 <= value <= 1:
            raise ManifestError(path, None, f"{name!r} in {place!r} must be between 0 and 1")
