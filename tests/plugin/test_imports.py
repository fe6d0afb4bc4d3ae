"""What the plugin imports in a run of pytest that does not use it."""

from __future__ import annotations

import json
from pathlib import Path

import command_line
from pytest_erasetest.option_table import OPTION_TABLE
from pytest_erasetest.options import option_table

OURS = {
    "erasetest",
    "erasetest.errors",
    "erasetest.support",
    "erasetest.support.gate_variable",
    "erasetest.support.lazy_exports",
    "erasetest.version",
    "pytest_erasetest",
    "pytest_erasetest.fixture_use",
    "pytest_erasetest.fixtures",
    "pytest_erasetest.option_table",
    "pytest_erasetest.option_values",
    "pytest_erasetest.plugin",
    "pytest_erasetest.stash",
    "pytest_erasetest.status_guard",
}

LIST_MODULES = """
import json, sys
import pytest

pytest.main([{options}, "test_empty.py"])
with open("modules.json", "w") as file:
    json.dump(sorted(sys.modules), file)
"""


def _modules(folder: Path, *options: str) -> set[str]:
    """Return the modules that a run of pytest on an empty test imports."""
    quoted = ", ".join(map(repr, ["-p", "no:cacheprovider", *options]))
    (folder / "list_modules.py").write_text(LIST_MODULES.format(options=quoted))
    (folder / "test_empty.py").write_text("def test_empty(): pass\n")
    run = command_line.run_cold(
        "list_modules", cwd=folder, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", PYTEST_ADDOPTS=""
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return set(json.loads((folder / "modules.json").read_text()))


def test_other_runs_import_a_few_files_of_ours_and_nothing_else(tmp_path: Path) -> None:
    """No third-party module, and no module of the standard library that pytest does not import.

    Each import costs every run of pytest of everyone who has the package installed. The measured
    cost is in benchmarks/results/plugin_import.md.
    """
    plain = _modules(tmp_path)
    with_plugin = _modules(tmp_path, "-p", "pytest_erasetest.plugin")
    assert with_plugin - plain == OURS


def test_the_table_of_options_is_up_to_date() -> None:
    """If not: `python -m pytest_erasetest.options`."""
    assert option_table() == OPTION_TABLE
