"""What stops a gate while it opens the CLM: told once, tried once, never taken for a verdict."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gate_runs import gate
from pytest_erasetest.gate import Gate
from pytest_erasetest.shared_results import SharedResults

from erasetest.errors import ClmError

OUT_OF_TIME = """
import sys
import pytest

class OutOfTime:
    def find_spec(self, name, path=None, target=None):
        if name == "torch.nn":
            pytest.fail("Timeout (>1.0s)")

def pytest_runtest_setup(item):
    sys.meta_path.insert(0, OutOfTime())
"""
"""A time-out in the middle of the import of torch, which cannot be imported again after it."""


def test_a_time_out_while_loading_is_told_as_one(leaking: Path, tmp_path: Path) -> None:
    """Not as a module that is missing, by every test, nor by a crash: the run ends at once."""
    (tmp_path / "out_of_time.py").write_text(OUT_OF_TIME)
    run = gate(leaking, "-p", "out_of_time", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert run.returncode == 4, run.stdout + run.stderr
    reason = f"{leaking / 'clm'}: was stopped while it was loaded (Failed: Timeout (>1.0s))"
    assert f"ERROR: {reason}" in run.stdout
    assert "give the first test more time" in run.stdout
    assert "1 error" in run.stdout
    assert "verdict" not in run.stdout
    assert "import" not in run.stdout.replace(str(tmp_path), "")


@contextlib.contextmanager
def _silent(title: str) -> Iterator[Any]:
    yield lambda *given: None


@pytest.fixture
def opened(tmp_path: Path) -> Gate:
    settings: Any = SimpleNamespace(clm="some/clm", clm_adapter=None, endpoint=False)
    return Gate(settings, SharedResults(tmp_path), 0, 1, _silent)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("no kernel"), "RuntimeError: no kernel"),
        (SystemExit(3), "SystemExit: 3"),
        (pytest.fail.Exception("Timeout"), "Failed: Timeout"),
        (pytest.skip.Exception("no such device"), "Skipped: no such device"),
    ],
)
def test_whatever_stops_loading_is_remembered(
    opened: Gate, monkeypatch: pytest.MonkeyPatch, error: BaseException, told: str
) -> None:
    """The second test to ask gets the same answer, and nothing is loaded again."""
    tries = []

    def load(*given: object) -> None:
        tries.append(given)
        raise error

    monkeypatch.setattr(opened.opener, "open", load)
    for _ in range(2):
        with pytest.raises(ClmError, match=f"some/clm: was stopped while it was loaded .{told}"):
            _ = opened.clm
    assert opened.refused is not None
    assert len(tries) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), pytest.exit.Exception("enough")])
def test_who_stops_pytest_stops_pytest(
    opened: Gate, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """Ctrl-C and `pytest.exit` are no failure of the CLM."""

    def load(*given: object) -> None:
        raise error

    monkeypatch.setattr(opened.opener, "open", load)
    with pytest.raises(type(error)):
        _ = opened.clm
    assert opened.refused is None


def test_work_that_ran_out_of_time_is_not_begun_again(opened: Gate) -> None:
    """Each test of a block would wait for as long."""
    tries = []

    def probe() -> None:
        tries.append(1)
        pytest.fail("Timeout")

    for _ in range(2):
        with pytest.raises(pytest.fail.Exception, match="Timeout"):
            opened._guarded("before-00000", probe)
    assert len(tries) == 1
