"""What is installed, and what README and CI promise of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _pip(*arguments: str | Path) -> None:
    """Install without the network, with the build backend of this environment."""
    command = [sys.executable, "-m", "pip", "--quiet", *map(str, arguments)]
    command += ["--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run(command, check=True, timeout=120)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this tree and unpacked into a folder of its own."""
    folder = tmp_path_factory.mktemp("installed")
    _pip("install", "--target", folder, ROOT)
    return folder


def test_the_wheel_installs_two_packages(installed: Path) -> None:
    """And no top-level `plugins`, `suites` or `tests`."""
    found = {path.name for path in installed.iterdir() if path.suffix != ".dist-info"}
    assert found - {"bin"} == {"erasetest", "pytest_erasetest"}
    assert (installed / "erasetest" / "py.typed").is_file()
    assert (installed / "erasetest" / "reports" / "leakage-report.schema.json").is_file()
    suites = {path.name for path in (ROOT / "suites").glob("*.py")}
    packed = {path.name for path in (installed / "pytest_erasetest" / "suites").glob("*.py")}
    assert packed == suites


SUITES = ["pytest", "--pyargs", "pytest_erasetest.suites"]


def _asks_for_a_clm(
    python: str | Path, cwd: Path, command: list[str] = SUITES, **environment: str
) -> None:
    """The suites are found by the name of their package, and refuse to run without a CLM."""
    done = subprocess.run(
        [str(python), "-m", *command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 4, said
    assert "--clm demo" in said
    assert "not found" not in said


@pytest.mark.parametrize("command", [SUITES, ["erasetest.cli", "gate"]])
def test_the_suites_run_after_a_plain_installation(
    installed: Path, tmp_path: Path, command: list[str]
) -> None:
    """By `--pyargs pytest_erasetest.suites` and by `erasetest gate`; they ask for a CLM."""
    _asks_for_a_clm(sys.executable, tmp_path, command, PYTHONPATH=str(installed))


@pytest.mark.slow
def test_the_suites_run_after_an_editable_installation(tmp_path: Path) -> None:
    """In an environment that has all other packages of this one."""
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    (own,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    others = [p for p in sys.path if "site-packages" in p]
    (own / "zz_others.pth").write_text("\n".join(others) + "\n")
    _pip("--python", python, "install", "--editable", ROOT)
    assert not (own / "pytest_erasetest").exists()
    _asks_for_a_clm(python, tmp_path)


def test_the_source_distribution_holds_the_suites(tmp_path: Path) -> None:
    """Where they are in a clone, and where the wheel takes them from."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    for suite in (ROOT / "suites").glob("*.py"):
        assert f"suites/{suite.name}" in names
        assert f"plugins/pytest_erasetest/suites/{suite.name}" in names


def test_ci_runs_the_readmes_second_line() -> None:
    """The same constraints, the same extra, the same tests; CI also lists the slowest."""
    second = re.findall(r"^python3 -m venv .*$", (ROOT / "README.md").read_text(), re.MULTILINE)[1]
    script = (ROOT / ".ci" / "run").read_text()
    assert "-c constraints.txt -e '.[dev]'" in second
    assert "-c constraints.txt -e '.[dev]'" in script
    tests = script.splitlines()[-1].removesuffix(" --durations=25")
    assert tests.startswith("pytest tests")
    assert second.endswith(f"/{tests}")
