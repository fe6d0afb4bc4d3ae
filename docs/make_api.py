"""Write `docs/reference/api.md` from the docstrings of the public names: `python docs/make_api.py`.

`tests/project/test_api_page.py` fails while the page differs from them.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import griffe

import erasetest

PAGE = Path(__file__).parent / "reference" / "api.md"

_WIDTH = 90
"""Columns of a call that stays on one line."""

_INTRODUCTION = """\
# Python API

`import erasetest` gives these names. Importing it imports neither torch nor transformers; they are
imported by the first function that needs them.

This page is written from the docstrings by `python docs/make_api.py`.
"""


def page() -> str:
    """Return the page as Markdown."""
    names = [name for name in erasetest.__all__ if name != "__version__"]
    functions = [name for name in names if inspect.isfunction(getattr(erasetest, name))]
    classes = [name for name in names if inspect.isclass(getattr(erasetest, name))]
    parts = [_INTRODUCTION, "## Functions\n", *map(_function, functions)]
    return "\n".join([*parts, "## Classes and errors\n", *map(_class, classes)]).rstrip() + "\n"


def _function(name: str) -> str:
    found = getattr(erasetest, name)
    return f"### `{name}`\n\n```text\n{_signature(name, found)}\n```\n\n{_docstring(found)}\n"


def _class(name: str) -> str:
    found = getattr(erasetest, name)
    methods = [
        f"#### `{name}.{own}`\n\n```text\n{_signature(own, method)}\n```\n\n{_docstring(method)}\n"
        for own, method in inspect.getmembers(found, callable)
        if not own.startswith("_") and inspect.getdoc(method) and own in vars(found)
    ]
    return "\n".join([f"### `{name}`\n\n{_docstring(found)}\n", *methods])


def _signature(name: str, found: Any) -> str:
    """Return a call, with one parameter per line where it is long."""
    signature = inspect.signature(found)
    parts: list[str] = []
    starred = False
    for parameter in signature.parameters.values():
        if parameter.name == "self":
            continue
        starred = starred or parameter.kind is parameter.VAR_POSITIONAL
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        parts.append(_parameter(parameter))
    returned = signature.return_annotation
    result = "" if returned is signature.empty else f" -> {returned}"
    line = f"{name}({', '.join(parts)}){result}"
    if len(line) <= _WIDTH:
        return line
    return f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){result}"


def _parameter(parameter: inspect.Parameter) -> str:
    """Return a parameter with its annotation as it is written, without quotes."""
    star = "*" if parameter.kind is parameter.VAR_POSITIONAL else ""
    text = f"{star}{parameter.name}"
    if parameter.annotation is not parameter.empty:
        text += f": {parameter.annotation}"
    return text if parameter.default is parameter.empty else f"{text} = {parameter.default!r}"


def _docstring(found: Any) -> str:
    """Return a Google-style docstring as Markdown."""
    sections = griffe.Docstring(inspect.getdoc(found) or "").parse(
        "google", warnings=False, returns_named_value=False
    )
    out: list[str] = []
    for section in sections:
        if section.kind is griffe.DocstringSectionKind.text:
            out.append(section.value)
        elif section.kind in (
            griffe.DocstringSectionKind.parameters,
            griffe.DocstringSectionKind.attributes,
        ):
            title = "Arguments" if section.kind.value == "parameters" else "Attributes"
            rows = [f"- `{one.name}`: {_one_line(one.description)}" for one in section.value]
            out.append(f"{title}:\n\n" + "\n".join(rows))
        elif section.kind is griffe.DocstringSectionKind.returns:
            # griffe takes what is before a colon for a type.
            texts = [
                ": ".join(filter(None, (one.annotation, one.description))) for one in section.value
            ]
            out.append(f"Returns: {_one_line(' '.join(texts))}")
        elif section.kind is griffe.DocstringSectionKind.raises:
            rows = [f"- `{one.annotation}`: {_one_line(one.description)}" for one in section.value]
            out.append("Raises:\n\n" + "\n".join(rows))
    return "\n\n".join(out)


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
