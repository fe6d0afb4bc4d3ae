"""Whatever stops loading the CLM is reported once, not retried, and is not a verdict."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gate_runs import gate
from pytest_erasetest.gate import Gate
from pytest_erasetest.inputs import RunInputs
from pytest_erasetest.model_loader import ModelLoader
from pytest_erasetest.option_checks import make_settings
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


def test_a_time_out_while_loading_is_reported_as_one(leaking: Path, tmp_path: Path) -> None:
    """The run ends at once: no test reports a missing module, and nothing crashes."""
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
def gate_on_a_clm(tmp_path: Path) -> Gate:
    settings = make_settings({"clm": "some/clm"}, [])
    loader = ModelLoader(settings, 0, 1, _silent)
    return Gate(settings, RunInputs(settings), loader, SharedResults(tmp_path))


@pytest.mark.parametrize(
    ("error", "reported"),
    [
        (RuntimeError("no kernel"), "RuntimeError: no kernel"),
        (SystemExit(3), "SystemExit: 3"),
        (pytest.fail.Exception("Timeout"), "Failed: Timeout"),
        (pytest.skip.Exception("no such device"), "Skipped: no such device"),
    ],
)
def test_whatever_stops_loading_is_remembered(
    gate_on_a_clm: Gate, monkeypatch: pytest.MonkeyPatch, error: BaseException, reported: str
) -> None:
    """The second test to ask gets the same answer, and nothing is loaded again."""
    tries = []

    def load(*given: object) -> None:
        tries.append(given)
        raise error

    monkeypatch.setattr(gate_on_a_clm.loader, "load", load)
    for _ in range(2):
        with pytest.raises(
            ClmError, match=f"some/clm: was stopped while it was loaded .{reported}"
        ):
            _ = gate_on_a_clm.clm
    assert gate_on_a_clm.refused is not None
    assert len(tries) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), pytest.exit.Exception("enough")])
def test_stopping_pytest_is_not_remembered(
    gate_on_a_clm: Gate, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """Ctrl-C and `pytest.exit` are not a failure of the CLM."""

    def load(*given: object) -> None:
        raise error

    monkeypatch.setattr(gate_on_a_clm.loader, "load", load)
    with pytest.raises(type(error)):
        _ = gate_on_a_clm.clm
    assert gate_on_a_clm.refused is None


def test_work_that_timed_out_is_not_restarted(gate_on_a_clm: Gate) -> None:
    """Each test of a block would wait as long."""
    tries = []

    def probe() -> None:
        tries.append(1)
        pytest.fail("Timeout")

    for _ in range(2):
        with pytest.raises(pytest.fail.Exception, match="Timeout"):
            gate_on_a_clm._guarded("before-00000", probe)
    assert len(tries) == 1
