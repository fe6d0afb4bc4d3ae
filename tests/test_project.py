"""What is installed, and what README and CI promise of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this tree and unpacked into a folder of its own."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation",
         "--no-index", "--target", str(folder), str(ROOT)],
        check=True,
        timeout=120,
    )  # fmt: skip
    return folder


def test_the_wheel_installs_two_packages(installed: Path) -> None:
    """And no top-level `plugins`, `suites` or `tests`."""
    found = {path.name for path in installed.iterdir() if path.suffix != ".dist-info"}
    assert found - {"bin"} == {"erasetest", "pytest_erasetest"}
    assert (installed / "erasetest" / "py.typed").is_file()


@pytest.mark.parametrize(
    "command", [["pytest", "--pyargs", "pytest_erasetest.suites"], ["erasetest.cli", "gate"]]
)
def test_the_suites_run_after_a_plain_installation(
    installed: Path, tmp_path: Path, command: list[str]
) -> None:
    """By `--pyargs pytest_erasetest.suites` and by `erasetest gate`; they ask for a CLM."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 4
    assert "--clm demo" in done.stdout + done.stderr
    assert "not found" not in done.stdout + done.stderr


def test_ci_runs_the_readmes_second_line() -> None:
    """The same constraints, the same extra, the same tests."""
    second = re.findall(r"^python3 -m venv .*$", (ROOT / "README.md").read_text(), re.MULTILINE)[1]
    script = (ROOT / ".ci" / "run").read_text()
    assert "-c constraints.txt -e '.[dev]'" in second
    assert "-c constraints.txt -e '.[dev]'" in script
    tests = script.splitlines()[-1]
    assert tests.startswith("pytest tests")
    assert second.endswith(f"/{tests}")


def test_every_document_that_is_linked_is_there() -> None:
    """In README and docs."""
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
