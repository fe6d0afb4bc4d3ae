"""Lists that must be complete: what a new measure or method is easily left out of."""

from __future__ import annotations

import inspect
import json
import re
from importlib import resources
from pathlib import Path

import pytest

import erasetest
from erasetest.erasing.methods import METHOD_NAMES
from erasetest.probes.measures import LESS_IS_WORSE, MEASURES

DOCS = Path(__file__).parents[2] / "docs"


def _descriptions() -> dict[str, str]:
    """The descriptions of the measures of a sample in the schema of reports."""
    file = resources.files("erasetest.reports") / "leakage-report.schema.json"
    found: dict[str, str] = {}

    def visit(node: object) -> None:
        if isinstance(node, dict):
            for name, inner in node.get("properties", {}).items():
                if name in MEASURES:
                    found[name] = found.get(name, "") + inner.get("description", "")
            for inner in node.values():
                visit(inner)
        elif isinstance(node, list):
            for inner in node:
                visit(inner)

    visit(json.loads(file.read_text("utf-8")))
    return found


def test_reports_describe_each_measure_and_which_way_is_worse() -> None:
    """The worst value of a sample depends on it."""
    described = _descriptions()
    assert set(described) == set(MEASURES)
    lower = {name for name, text in described.items() if "Lower is worse" in text}
    assert lower == LESS_IS_WORSE


@pytest.mark.parametrize("measure", MEASURES)
def test_each_measure_has_a_definition(measure: str) -> None:
    """A row of the table, by name; EL of all n shares one."""
    name = re.sub(r"_\d+$", "_n", measure) if measure.startswith("el_") else measure
    table = (DOCS / "explanation" / "measures.md").read_text("utf-8")
    assert f"\n| `{name}` |" in table


@pytest.mark.parametrize("method", METHOD_NAMES)
@pytest.mark.parametrize(
    "page", ["reference/options.md", "how-to/erase.md", "glossary.md", "explanation/erasing.md"]
)
def test_each_method_is_named_where_methods_are_listed(page: str, method: str) -> None:
    """Users choose from these lists."""
    assert f"`{method}`" in (DOCS / page).read_text("utf-8")


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_the_python_api_names_each_method(method: str) -> None:
    """As the options do."""
    assert f"`{method}`" in (inspect.getdoc(erasetest.erase) or "")
