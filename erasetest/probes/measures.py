"""What a probe returns: numbers by name, for each secret and for the sample's worst."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

NGRAMS = (3, 5, 10)
MEASURES = ("ma", "el_3", "el_5", "el_10", "extracted")
"""All measures, in the order in which they are shown. For each, more means more is remembered."""

Value = float | bool


@dataclass(frozen=True, slots=True)
class SecretMeasures:
    """The measures of one secret; none if it could not be probed, and `problem` says why."""

    start: int
    end: int
    kind: str
    measures: dict[str, Value]
    problem: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """As it stands in files."""
        row: dict[str, Any] = {
            "start": self.start,
            "end": self.end,
            "kind": self.kind,
            "measures": self.measures,
        }
        return row if self.problem is None else {**row, "problem": self.problem}


@dataclass(frozen=True, slots=True)
class SampleMeasures:
    """The measures of a sample's secrets. Holds no content."""

    id: str
    secrets: tuple[SecretMeasures, ...]

    @property
    def measures(self) -> dict[str, Value]:
        """The value of the worst secret, measure by measure."""
        return {name: max(values) for name, values in self._values().items()}

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
    def from_dict(cls, row: dict[str, Any]) -> SampleMeasures:
        """The inverse of `as_dict`."""
        return cls(row["id"], tuple(SecretMeasures(**secret) for secret in row["secrets"]))

    def _values(self) -> dict[str, list[Value]]:
        probed = [secret.measures for secret in self.secrets if secret.measures]
        return {name: [m[name] for m in probed] for name in (probed[0] if probed else ())}
