"""Write `docs/reference/report.md` from the JSON Schema of reports: `python docs/make_report.py`.

`tests/reports/test_schema.py` fails while the page differs from the schema.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from erasetest.reports.leakage_report import json_schema

PAGE = Path(__file__).parent / "reference" / "report.md"

_INTRODUCTION = """\
# Leakage report

`--leak-report FILE.json` writes this document. `--leak-report FILE.md` writes the same as tables,
and `erasetest report` converts the first to the second. Its JSON Schema, from which
`python docs/make_report.py` writes this page, is
[`leakage-report.schema.json`](../../erasetest/reports/leakage-report.schema.json).

Read it in Python:

```python
import erasetest

report = erasetest.Report.read("leakage.json")
leaking = [row["id"] for row in report.samples if row["verdict"] == "leak"]
```
"""


def page() -> str:
    """Return the page as Markdown."""
    return _INTRODUCTION + "".join(_Page(json_schema()).sections()).rstrip() + "\n"


class _Page:
    """Writes one section per object of the schema, in the order of the document."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema
        self._titles: dict[str, str] = {}
        """The title of the section of a definition, by its reference."""

    def sections(self) -> list[str]:
        """Return the sections of all objects."""
        return self._sections("", self._schema)

    def _sections(self, path: str, schema: dict[str, Any]) -> list[str]:
        rows: list[str] = []
        nested: list[tuple[str, dict[str, Any]]] = []
        for key, given in self._properties(schema).items():
            inner = f"{path}.{key}".lstrip(".")
            reference, found, suffix = self._resolve(given)
            title = inner + suffix
            link = ""
            if self._properties(found):
                known = self._titles.get(reference, title)
                link = f" See [`{known}`](#{_anchor(known)})."
                if known == title and reference not in self._titles:
                    if reference:
                        self._titles[reference] = title
                    nested.append((title, found))
            rows.append(f"| `{key}` | {_type(given, found)} | {given['description']}{link} |\n")
        heading = f"\n## `{path}`\n" if path else ""
        about = textwrap.fill(schema["description"], 100)
        sections = [f"{heading}\n{about}\n\n| key | type | meaning |\n|---|---|---|\n", *rows]
        # After the loop, so that a definition gets its title from the highest level.
        for title, found in nested:
            sections += self._sections(title, found)
        return sections

    def _properties(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the keys of an object, with those of the objects that it extends."""
        found: dict[str, Any] = dict(schema.get("properties", {}))
        for other in schema.get("allOf", []):
            found |= self._properties(self._definition(other["$ref"]))
        return found

    def _resolve(self, schema: dict[str, Any]) -> tuple[str, dict[str, Any], str]:
        """Return the reference in a schema, the schema of its content, and the latter's place."""
        inner, suffix = schema, ""
        if schema.get("type") == "array":
            inner, suffix = schema["items"], "[]"
        elif "$ref" in schema.get("additionalProperties", {}):
            inner, suffix = schema["additionalProperties"], ".*"
        for option in inner.get("anyOf", [inner]):
            if "$ref" in option:
                return option["$ref"], self._definition(option["$ref"]), suffix
        return "", inner, suffix

    def _definition(self, reference: str) -> dict[str, Any]:
        found: dict[str, Any] = self._schema["$defs"][reference.removeprefix("#/$defs/")]
        return found


def _type(given: dict[str, Any], found: dict[str, Any]) -> str:
    if given.get("type") == "array":
        return f"array of {_names(found)}s"
    if "type" in given:
        return _names(given)
    nullable = {"type": "null"} in given.get("anyOf", [])
    return _names(found) + " or null" * nullable


def _names(schema: dict[str, Any]) -> str:
    if "type" not in schema and ("const" in schema or "enum" in schema):
        return "string"
    names = schema.get("type", "object")
    return " or ".join([names] if isinstance(names, str) else names)


def _anchor(title: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return "".join(each for each in title.lower() if each.isalnum() or each in "-_ ")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
