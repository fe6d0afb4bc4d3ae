"""The `python` blocks of the documentation run.

The blocks of a page run in order and share their names, in a folder with what they name:
`path/to/clm` and `erased` (a tiny CLM that recites some of `samples.jsonl`), `samples.jsonl`,
`retained.jsonl`, `unseen.jsonl`, `problems.jsonl`, `leakage.json` and a folder `src`. Functions
named `test_…` are only defined; their arguments must be fixtures.
"""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from erasetest.reports import Report

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

BLOCKS = {page: BLOCK.findall(page.read_text(encoding="utf-8")) for page in PAGES}
WITH_CODE = [page for page, blocks in BLOCKS.items() if blocks]


@pytest.fixture
def folder(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that blocks run in."""
    shutil.copytree(place / "clm", tmp_path / "path" / "to" / "clm")
    shutil.copytree(place / "clm", tmp_path / "erased")
    shutil.copytree(place / "src", tmp_path / "src")
    for name in ("samples.jsonl", "retained.jsonl", "unseen.jsonl", "problems.jsonl"):
        shutil.copy(place / name, tmp_path / name)
    row = {"id": "planted-0", "kinds": ["jwt"], "verdict": "leak", "measures": {}, "after": None}
    Report(clm={"name": "tiny"}, samples=[row], verdict="leaks").write(tmp_path / "leakage.json")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ERASETEST_ID_KEY", "tests")
    return tmp_path


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_run(page: Path, folder: Path) -> None:
    """As they are, in order."""
    names: dict[str, Any] = {"__name__": "page"}
    for number, block in enumerate(BLOCKS[page], 1):
        exec(compile(block, f"{page.name}, block {number}", "exec"), names)


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: str(page.relative_to(ROOT)))
def test_tests_ask_for_fixtures(page: Path) -> None:
    """Each `test_…` without a decorator names only fixtures of the plugin."""
    from pytest_erasetest import fixtures

    for block in BLOCKS[page]:
        for node in ast.parse(block).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                own = not node.decorator_list
                assert not own or all(hasattr(fixtures, a.arg) for a in node.args.args), node.name


def test_blocks_are_seen() -> None:
    """The README, the tutorial and the pages on fixtures and on erasing have some."""
    names = {str(page.relative_to(ROOT)) for page in WITH_CODE}
    assert {"README.md", "docs/tutorial/erase-the-demo.md", "docs/how-to/erase.md"} <= names
