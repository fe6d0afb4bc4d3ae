"""The leakage report: what is said to people and CI systems, without any text of a sample."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from erasetest.errors import ManifestError
from erasetest.probes import SampleMeasures
from erasetest.samples import SensitiveSample
from erasetest.support.json_documents import read_document
from erasetest.verdict import Thresholds, judge

SCHEMA = "erasetest.leakage-report/1"

_FORM = "leakage-report.schema.json"

Overall = Literal["clean", "leaks", "erased", "incomplete"]


@dataclass(slots=True)
class LeakageReport:
    """A report being filled. `as_dict` is the contract's form."""

    clm: dict[str, Any]
    thresholds: dict[str, Any] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)
    erasure: dict[str, Any] | None = None
    attacks: list[dict[str, Any]] = field(default_factory=list)
    utility: dict[str, Any] | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    """What makes the run incomplete: one line each."""
    verdict: Overall = "incomplete"

    def as_dict(self) -> dict[str, Any]:
        """Plain builtins, in the contract's order."""
        return {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "clm": self.clm,
            "thresholds": self.thresholds,
            "samples": self.samples,
            "erasure": self.erasure,
            "attacks": self.attacks,
            "utility": self.utility,
            "problems": self.problems,
            "environment": self.environment,
        }


def sample_rows(
    samples: Sequence[SensitiveSample],
    before: dict[str, SampleMeasures],
    after: dict[str, SampleMeasures],
    thresholds: Thresholds | None,
    thresholds_after: Thresholds | None,
) -> list[dict[str, Any]]:
    """A row for each sample; one that was not measured is `inconclusive` with no measures."""
    return [
        {
            "id": sample.id,
            "kinds": list(sample.kinds),
            "source": _source(sample),
            **_judged(before.get(sample.id), thresholds),
            "after": _judged(after[sample.id], thresholds_after) if sample.id in after else None,
        }
        for sample in samples
    ]


def _source(sample: SensitiveSample) -> dict[str, Any] | None:
    if sample.source is None:
        return None
    return {"path": sample.source.path, "line": sample.source.line}


def _judged(measured: SampleMeasures | None, thresholds: Thresholds | None) -> dict[str, Any]:
    if measured is None or thresholds is None:
        return {"verdict": "inconclusive", "measures": {}, "reasons": ["it was not measured"]}
    judgement = judge(measured, thresholds)
    return {
        "verdict": judgement.verdict,
        "measures": measured.measures,
        "mean": measured.mean,
        "reasons": [str(reason) for reason in judgement.reasons],
    }


def environment() -> dict[str, Any]:
    """Versions that a figure may depend on."""
    packages = ("erasetest", "torch", "transformers", "tokenizers", "pytest", "detect-secrets")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{package: metadata.version(package) for package in packages},
    }


def read_report(path: str | Path) -> dict[str, Any]:
    """A report that `write_report` wrote as `.json`.

    Raises:
        ManifestError: it cannot be read, is of another schema, or lacks a part of it.
    """
    document = read_document(path, SCHEMA, "a leakage report")
    wrong = schema_violation(document)
    if wrong is not None:
        raise ManifestError(path, None, f"is not a whole leakage report: {wrong}")
    return document


def schema_violation(document: dict[str, Any]) -> str | None:
    """Where a document is not of the published form; never what stands there."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    form = json.loads(Path(__file__).with_name(_FORM).read_text(encoding="utf-8"))
    error = best_match(Draft202012Validator(form).iter_errors(document))
    if error is None:
        return None
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"{error.json_path} lacks {', '.join(missing)}"
    return f"{error.json_path} does not keep to {error.validator!r} of {_FORM}"
