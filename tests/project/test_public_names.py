"""The names of `import erasetest`, and what importing it costs."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import erasetest

ROOT = Path(erasetest.__file__).parent

NAMES = [
    "BadInput", "ErasetestError", "Report", "ScanResult", "__version__", "calibrate", "compare",
    "erase", "evaluate", "judge", "load", "probe", "read_problems", "read_samples",
    "read_thresholds", "scan",
]  # fmt: skip


def test_exactly_these_names_are_public() -> None:
    """Another one is a promise to users: it is added here by hand."""
    assert erasetest.__all__ == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_name_exists_and_explains_itself(name: str) -> None:
    """Also after all submodules are imported, whose names could hide it."""
    for module in ("api", "cli", "commands", "erasing", "scanning", "probes", "verdict", "utility"):
        importlib.import_module(f"erasetest.{module}")
    found = getattr(erasetest, name)
    assert not inspect.ismodule(found)
    if callable(found):
        assert inspect.getdoc(found)
        if inspect.isfunction(found) and found.__module__ == "erasetest":
            documented = inspect.getdoc(found) or ""
            for parameter in inspect.signature(found).parameters:
                assert f"{parameter}:" in documented


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match="no attribute 'scann'"):
        erasetest.scann  # noqa: B018


def test_importing_it_imports_no_torch() -> None:
    """Nor anything else that is heavy, until a function needs it."""
    code = (
        "import sys, erasetest, erasetest.api; erasetest.load; erasetest.read_samples;"
        "heavy = {'torch', 'transformers', 'numpy', 'scipy', 'rich', 'typer', 'httpx'};"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def _packages() -> list[Path]:
    return [
        path for path in ROOT.rglob("__init__.py") if "lazy_exports(" in path.read_text("utf-8")
    ]


@pytest.mark.parametrize("path", _packages(), ids=lambda path: path.parent.name)
def test_types_and_runtime_know_the_same_lazy_names(path: Path) -> None:
    """The imports under TYPE_CHECKING, which mypy sees, are those that happen on first use."""
    tree = ast.parse(path.read_text("utf-8"))
    package = "erasetest" + "".join(f".{part}" for part in path.parent.relative_to(ROOT).parts)
    (guarded,) = (node for node in tree.body if isinstance(node, ast.If))
    typed = {
        alias.name: node.module.removeprefix(f"{package}.")
        for node in guarded.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    (call,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
    )
    assert typed == ast.literal_eval(call.args[1])
    module = importlib.import_module(package)
    for name in typed:
        assert name in module.__all__
        assert not inspect.ismodule(getattr(module, name))
