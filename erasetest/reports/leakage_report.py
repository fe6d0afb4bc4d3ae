"""The leakage report: the result of a run, without any text of a sample."""

from __future__ import annotations

import functools
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from erasetest.errors import ManifestError
from erasetest.reports.base_changes import change_of
from erasetest.reports.write import write_report
from erasetest.samples import SensitiveSample
from erasetest.support.json_documents import read_document
from erasetest.verdict.judged_sample import JudgedSample

SCHEMA = "erasetest.leakage-report/1"

JSON_SCHEMA = Path(__file__).with_name("leakage-report.schema.json")
"""The JSON Schema of reports, with a description of each key."""

RunVerdict = Literal["clean", "leaks", "erased", "incomplete"]


@dataclass(slots=True)
class Report:
    """A leakage report. `docs/reference/report.md` describes each key of its parts.

    Attributes:
        clm: the model under test: `name`, and for a CLM `fingerprint`, `dtype` and others.
        thresholds: the thresholds that verdicts depend on.
        samples: one row per sample: `id`, `kinds`, `verdict`, `measures`, `reasons`, `after`, …
        erasure: the result of erasing; None if nothing was erased.
        attacks: empty: attacks are not implemented.
        utility: the comparison of pass@k; None if there was none.
        base: the CLM before this training, with its thresholds; None if none was given.
        environment: versions of Python, the platform and packages.
        problems: reasons why the run is incomplete, one line each.
        verdict: `clean`, `leaks`, `erased` or `incomplete`.
        further: keys that this version does not know, which a conversion keeps.
    """

    clm: dict[str, Any]
    thresholds: dict[str, Any] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)
    erasure: dict[str, Any] | None = None
    attacks: list[dict[str, Any]] = field(default_factory=list)
    utility: dict[str, Any] | None = None
    base: dict[str, Any] | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    verdict: RunVerdict = "incomplete"
    further: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Report:
        """Read a report in JSON format.

        Raises:
            ManifestError: the file cannot be read, or does not match the JSON Schema.
        """
        document = read_document(Path(path), SCHEMA, "a leakage report")
        violation = schema_violation(document)
        if violation is not None:
            raise ManifestError(Path(path), None, f"is not a complete leakage report: {violation}")
        return cls.from_dict(document)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the report atomically, in the format that the suffix names: `.json` or `.md`.

        Raises:
            BadInput: no format has this suffix, or the file cannot be written.
        """
        write_report(Path(path), self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """Return plain builtins, in the order of the JSON format."""
        return {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "clm": self.clm,
            "thresholds": self.thresholds,
            "samples": self.samples,
            "erasure": self.erasure,
            "attacks": self.attacks,
            "utility": self.utility,
            "base": self.base,
            "problems": self.problems,
            "environment": self.environment,
            **self.further,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Report:
        """Return the report that `as_dict` was called on."""
        names = [each.name for each in fields(cls) if each.name != "further"]
        further = {
            key: value for key, value in document.items() if key not in names and key != "schema"
        }
        known = {name: document[name] for name in names if name in document}
        return cls(**known, further=further)


def sample_rows(
    samples: Sequence[SensitiveSample],
    before: Mapping[str, JudgedSample],
    after: Mapping[str, JudgedSample],
    base: Mapping[str, JudgedSample] | None = None,
) -> list[dict[str, Any]]:
    """Return one row per sample, `inconclusive` for a sample that was not judged.

    Args:
        samples: the samples of the run, in order.
        before: those judged on the CLM under test, by id.
        after: those judged on the erased CLM, by id; empty if nothing was erased.
        base: those judged on the base, by id; None if there is no base.
    """
    rows = []
    for sample in samples:
        given = _verdict(before.get(sample.id))
        then = _verdict(base.get(sample.id)) if base is not None else None
        row = {
            "id": sample.id,
            "kinds": list(sample.kinds),
            "source": _source(sample),
            **given,
            "after": _verdict(after[sample.id]) if sample.id in after else None,
            "base": then,
            "change": change_of(given, then),
        }
        rows.append(row)
    return rows


def _source(sample: SensitiveSample) -> dict[str, Any] | None:
    if sample.source is None:
        return None
    return {"path": sample.source.path, "line": sample.source.line}


def _verdict(sample: JudgedSample | None) -> dict[str, Any]:
    if sample is None:
        return {"verdict": "inconclusive", "measures": {}, "reasons": ["it was not measured"]}
    return {
        "verdict": sample.judgement.verdict,
        "measures": sample.measured.measures,
        "mean": sample.measured.mean,
        "reasons": [str(reason) for reason in sample.judgement.reasons],
        "details": list(sample.judgement.details),
        "prompt": sample.measured.worst_prompt,
    }


def environment() -> dict[str, Any]:
    """Return the versions that a measure may depend on."""
    packages = ("erasetest", "torch", "transformers", "tokenizers", "pytest", "detect-secrets")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{package: metadata.version(package) for package in packages},
    }


def schema_violation(document: object) -> str | None:
    """Return where a document violates the JSON Schema, without its value there; None if nowhere.

    A value may hold any text, so it never reaches a message.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(json_schema()).iter_errors(document))
    if error is None:
        return None
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"{error.json_path} lacks {', '.join(missing)}"
    return f"{error.json_path} violates {error.validator!r} of {JSON_SCHEMA.name}"


@functools.cache
def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of reports (draft 2020-12)."""
    schema: dict[str, Any] = json.loads(JSON_SCHEMA.read_text(encoding="utf-8"))
    return schema
