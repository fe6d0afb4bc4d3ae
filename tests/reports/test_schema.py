"""The JSON Schema of reports: valid, complete, and the source of the reference page."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from report_documents import copied

from erasetest.erasing import ErasureSettings
from erasetest.erasing.erasure_result import Step
from erasetest.probes import MEASURES
from erasetest.reports.leakage_report import json_schema, schema_violation
from erasetest.utility.sampling import Sampling

ROOT = Path(__file__).parents[2]
DEFINITIONS = json_schema()["$defs"]


def _resolved(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a schema and all that it refers to or extends."""
    yield schema
    for other in [*schema.get("allOf", []), *schema.get("anyOf", [])]:
        yield from _resolved(other)
    if "$ref" in schema:
        yield from _resolved(DEFINITIONS[schema["$ref"].removeprefix("#/$defs/")])


def _undescribed(value: object, schema: dict[str, Any], path: str) -> Iterator[str]:
    """Yield the keys of a value that its schema does not describe."""
    if isinstance(value, list):
        for item in value:
            for each in _resolved(schema):
                if "items" in each:
                    yield from _undescribed(item, each["items"], f"{path}[]")
    if not isinstance(value, dict):
        return
    known: dict[str, Any] = {}
    free: dict[str, Any] | None = None
    for each in _resolved(schema):
        known |= each.get("properties", {})
        free = each.get("additionalProperties", free)
    for key, inner in value.items():
        if key in known:
            yield from _undescribed(inner, known[key], f"{path}.{key}")
        elif known or free is None:
            yield f"{path}.{key}"
        else:
            yield from _undescribed(inner, free, f"{path}.*")


def _properties(schema: object, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each property of a schema with its path."""
    if isinstance(schema, dict):
        for key, inner in schema.items():
            if key == "properties":
                yield from ((f"{path}.{name}", given) for name, given in inner.items())
            yield from _properties(inner, f"{path}.{key}")
    elif isinstance(schema, list):
        for inner in schema:
            yield from _properties(inner, path)


def test_the_schema_is_valid() -> None:
    """By the draft that it names."""
    assert json_schema()["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(json_schema())


def test_every_property_has_a_sentence() -> None:
    """Which begins with a capital or a code span and ends with a full stop."""
    found = list(_properties(json_schema(), ""))
    assert len(found) > 100
    for path, schema in found:
        text = schema.get("description", "")
        assert text.endswith("."), path
        assert text[0].isupper() or text[0] == "`", path


# Objects whose keys depend on the method, which the settings of erasing document.
METHOD_SETTINGS = (".erasure.settings.healing.", ".erasure.settings.lora.")


def test_every_key_of_a_report_is_described(document: dict[str, Any]) -> None:
    """And the report is valid. Keys of settings that a method has alone are not listed."""
    document = copied(
        document,
        clm={**document["clm"], "model": "served"},
        thresholds={
            **document["thresholds"],
            "false_alarms": {"any": {"count": 0, "of": 9, "rate": 0.0, "interval_95": [0.0, 0.3]}},
        },
        erasure={
            **document["erasure"],
            "retention": {"texts": 2, "before": 0.9, "after": 0.8, "margin": 0.03},
        },
    )
    document["samples"][0]["accepted"] = {"reason": "known", "expires": "2030-01-01"}
    assert schema_violation(document) is None
    missing = set(_undescribed(document, json_schema(), ""))
    assert {path for path in missing if not path.startswith(METHOD_SETTINGS)} == set()


@pytest.mark.parametrize(
    ("definition", "names"),
    [
        ("measures", MEASURES),
        ("mean", MEASURES),
        ("step", [field.name for field in fields(Step)]),
        ("how", ["completions", "form", *[field.name for field in fields(Sampling)], "stop"]),
    ],
)
def test_a_definition_has_the_fields_of_its_class(definition: str, names: list[str]) -> None:
    """All of them, in their order."""
    assert list(DEFINITIONS[definition]["properties"]) == list(names)


def test_the_settings_of_erasing_are_described() -> None:
    """All but the method, which the report names beside them."""
    settings = json_schema()["properties"]["erasure"]["properties"]["settings"]["properties"]
    assert list(settings) == [field.name for field in fields(ErasureSettings)][1:]


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"verdict": "fine"}, "$.verdict"),
        ({"samples": [{}]}, "$.samples[0]"),
        ({"problems": [1]}, "$.problems[0]"),
        ({"clm": {}}, "$.clm lacks name"),
        ({"clm": {"name": "m", "parameters": "secret text"}}, "$.clm.parameters"),
    ],
)
def test_a_violation_names_the_place_and_no_value(
    document: dict[str, Any], changed: dict[str, Any], where: str
) -> None:
    """The value may be any text."""
    violation = schema_violation(copied(document, **changed))
    assert violation is not None
    assert violation.startswith(where)
    assert "secret text" not in violation


def test_the_page_is_written_from_the_schema() -> None:
    """Else: `python docs/make_report.py`."""
    spec = importlib.util.spec_from_file_location("make_report", ROOT / "docs" / "make_report.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.page()
