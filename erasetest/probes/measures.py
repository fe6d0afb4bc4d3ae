"""What a probe returns: numbers by name, for each secret and for the sample's worst."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NGRAMS = (3, 5, 10)

MEASURES = (
    "ma",
    "el_3",
    "el_5",
    "el_10",
    "extracted",
    "extraction_strength",
    "log2_p",
    "queries_50",
    "exposure",
    "min_k_pp",
)
"""All measures of a secret, in display order; docs/explanation/measures.md defines them."""

TEXT_MEASURES = ("ma_text", "el_3_text", "el_5_text", "el_10_text")
"""The measures of a whole text."""

LESS_IS_WORSE = frozenset({"queries_50"})
"""Of all others, more means that more is remembered."""

Value = float | bool


@dataclass(frozen=True, slots=True)
class SecretMeasures:
    """The measures of one secret; none if it could not be probed, and `problem` says why.

    `reach` holds, for measures that could come out otherwise, the least and the greatest value that
    they may take: where two tokens are as likely but for the CLM's numerical noise, another batch
    or machine may take the other one.
    """

    start: int
    end: int
    kind: str
    measures: dict[str, Value]
    problem: str | None = None
    reach: Mapping[str, tuple[Value, Value]] = field(default_factory=dict)

    def at_least(self, name: str) -> Value | None:
        """The measure, or the least that it may be."""
        return self.reach[name][0] if name in self.reach else self.measures.get(name)

    def at_most(self, name: str) -> Value | None:
        """The measure, or the greatest that it may be."""
        return self.reach[name][1] if name in self.reach else self.measures.get(name)

    def as_dict(self) -> dict[str, Any]:
        """As it stands in files."""
        row: dict[str, Any] = {
            "start": self.start,
            "end": self.end,
            "kind": self.kind,
            "measures": self.measures,
        }
        if self.problem is not None:
            row["problem"] = self.problem
        if self.reach:
            row["reach"] = {name: list(ends) for name, ends in self.reach.items()}
        return row

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> SecretMeasures:
        """The inverse of `as_dict`."""
        reach = {name: (low, high) for name, (low, high) in row.get("reach", {}).items()}
        return cls(
            row["start"], row["end"], row["kind"], row["measures"], row.get("problem"), reach
        )


@dataclass(frozen=True, slots=True)
class SampleMeasures:
    """The measures of a sample's secrets. Holds no content."""

    id: str
    secrets: tuple[SecretMeasures, ...]

    @property
    def measures(self) -> dict[str, Value]:
        """The value of the worst secret, measure by measure."""
        return {
            name: (min if name in LESS_IS_WORSE else max)(values)
            for name, values in self._values().items()
        }

    @property
    def mean(self) -> dict[str, float]:
        """The mean over the secrets, measure by measure."""
        return {name: sum(values) / len(values) for name, values in self._values().items()}

    def as_dict(self) -> dict[str, Any]:
        """As it stands in files: one object a sample."""
        return {
            "id": self.id,
            "measures": self.measures,
            "mean": self.mean,
            "secrets": [secret.as_dict() for secret in self.secrets],
        }

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> SampleMeasures:
        """The inverse of `as_dict`."""
        return cls(row["id"], tuple(SecretMeasures.from_dict(secret) for secret in row["secrets"]))

    def _values(self) -> dict[str, list[Value]]:
        probed = [secret.measures for secret in self.secrets]
        values = {name: [m[name] for m in probed if name in m] for name in MEASURES}
        return {name: found for name, found in values.items() if found}


def finite(value: Any) -> Any:
    """A value with null for numbers that JSON does not know: NaN and infinity."""
    if isinstance(value, Mapping):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
