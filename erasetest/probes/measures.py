"""Measures that probes return: by name, for each secret and for the worst secret of a sample."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

NGRAMS = (3, 5, 10)
"""Lengths n of the n-grams that EL_n is measured for."""

MEASURES = (
    "ma",
    "el_3",
    "el_5",
    "el_10",
    "extracted",
    "extraction_strength",
    "log2_p",
    "queries_50",
    "over_controls",
    "exposure",
    "min_k_pp",
    "cue",
)
"""All measures of a secret, in display order; docs/explanation/measures.md defines them."""

TEXT_MEASURES = ("ma_text", "el_3_text", "el_5_text", "el_10_text")
"""Measures of a whole text, in display order."""

LESS_IS_WORSE = frozenset({"queries_50"})
"""Measures whose smaller values mean that more is remembered; for all others larger values do."""

Value = float | bool


@dataclass(frozen=True, slots=True)
class SecretMeasures:
    """The measures of one secret: of its code points `[start, end)` in the sample."""

    start: int
    end: int
    kind: str
    measures: dict[str, Value]
    """By name; empty if the secret could not be measured."""
    problem: str | None = None
    """Why it could not be measured."""
    reach: Mapping[str, tuple[Value, Value]] = field(default_factory=dict)
    """Smallest and largest possible value of the measures that are not certain: another batch or
    machine may choose the other of two tied tokens, and samples of an endpoint give an interval."""
    prompt: str | None = None
    """Name of the prompt with the worst measures (`probes.prompts`); None without measures."""
    copied: dict[str, Value] = field(default_factory=dict)
    """Measures on the unchanged text, if that holds copies of the secret before it; `control_ma`
    is the mean MA of other texts in the place of the secret and of its copies, and `over_controls`
    compares with them (`probes.copying`)."""

    def at_least(self, name: str) -> Value | None:
        """Return the smallest possible value of a measure; None if it was not measured."""
        return self.reach[name][0] if name in self.reach else self.measures.get(name)

    def at_most(self, name: str) -> Value | None:
        """Return the largest possible value of a measure; None if it was not measured."""
        return self.reach[name][1] if name in self.reach else self.measures.get(name)

    def as_dict(self) -> dict[str, Any]:
        """Return the form for files."""
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
        if self.prompt is not None:
            row["prompt"] = self.prompt
        if self.copied:
            row["copied"] = self.copied
        return row

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> SecretMeasures:
        """Return the object that `as_dict` describes."""
        reach = {name: (low, high) for name, (low, high) in row.get("reach", {}).items()}
        return cls(
            row["start"],
            row["end"],
            row["kind"],
            _from_file(row["measures"]),
            row.get("problem"),
            reach,
            row.get("prompt"),
            _from_file(row.get("copied", {})),
        )


_NULL = {"queries_50": math.inf, "log2_p": -math.inf}
"""What null stands for in files, where it is not NaN."""


def _from_file(measures: Mapping[str, Value | None]) -> dict[str, Value]:
    """Return measures with the values that JSON does not have (`finite`)."""
    return {
        name: _NULL.get(name, math.nan) if value is None else value
        for name, value in measures.items()
    }


def worse(name: str, values: Iterable[Value]) -> Value:
    """Return the value of a measure that means that more is remembered."""
    known = [value for value in values if not math.isnan(value)]
    return (min if name in LESS_IS_WORSE else max)(known, default=math.nan)


@dataclass(frozen=True, slots=True)
class SampleMeasures:
    """The measures of a sample's secrets, without any of its text."""

    id: str
    secrets: tuple[SecretMeasures, ...]

    @property
    def measures(self) -> dict[str, Value]:
        """Value of the worst secret, separately for each measure."""
        return {name: worse(name, values) for name, values in self._values().items()}

    @property
    def mean(self) -> dict[str, float]:
        """Mean over the secrets, separately for each measure."""
        known = {
            name: [value for value in values if not math.isnan(value)]
            for name, values in self._values().items()
        }
        return {
            name: sum(values) / len(values) if values else math.nan
            for name, values in known.items()
        }

    @property
    def worst_prompt(self) -> str | None:
        """Name of the prompt with the worst measures of the worst secret; None without measures."""
        probed = [secret for secret in self.secrets if secret.measures]
        worst = max(probed, key=lambda secret: _worst_first(secret.measures), default=None)
        return worst.prompt if worst is not None else None

    def as_dict(self) -> dict[str, Any]:
        """Return the form for files: one object per sample."""
        return {
            "id": self.id,
            "measures": self.measures,
            "mean": self.mean,
            "secrets": [secret.as_dict() for secret in self.secrets],
        }

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> SampleMeasures:
        """Return the object that `as_dict` describes."""
        return cls(row["id"], tuple(SecretMeasures.from_dict(secret) for secret in row["secrets"]))

    def _values(self) -> dict[str, list[Value]]:
        probed = [secret.measures for secret in self.secrets]
        values = {name: [m[name] for m in probed if name in m] for name in MEASURES}
        return {name: found for name, found in values.items() if found}


def _worst_first(measures: Mapping[str, Value]) -> list[Value]:
    return [measures.get(name, 0) for name in ("extracted", "ma")]


def finite(value: Any) -> Any:
    """Replace NaN and infinity, which JSON does not have, by None."""
    if isinstance(value, Mapping):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
