"""From what a run found out to its verdict and status: each condition alone stands against 7."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_erasetest.accepted_leaks import Accepted
from pytest_erasetest.outcome import _judge, _status
from pytest_erasetest.run_state import Delivered, RunState
from pytest_erasetest.shared_results import SharedResults

from erasetest.probes import SampleMeasures, SecretMeasures
from erasetest.samples import make_sample
from erasetest.verdict import Thresholds

LIMITS = Thresholds("test", {"ma": 0.5, "el_10": 0.1})


def _measured(name: str, ma: float) -> dict[str, Any]:
    values: dict[str, float | bool] = {"ma": ma, "el_10": 0.0, "extracted": False}
    return SampleMeasures(name, (SecretMeasures(0, 3, "k", values),)).as_dict()


def _run(folder: Path, before: tuple[float, float] = (0.9, 0.1)) -> RunState:
    """A run of two samples in which all went well: the first leaked and was erased."""
    ledger = SharedResults(folder)
    ledger.put("clm", {"name": "m"})
    ledger.put("thresholds", LIMITS.as_dict())
    ledger.put("before-00000", [_measured(n, ma) for n, ma in zip("ab", before, strict=True)])
    ledger.put("after-00000", [_measured("a", 0.1), _measured("b", 0.1)])
    erasure = {
        "method": "codeeraser", "checkpoint": "out", "samples": 1, "steps": 3, "seconds": 1.0,
        "peak_memory_bytes": None, "erased": True, "history": [], "thresholds": LIMITS.as_dict(),
        "retention": {"texts": 5, "before": 0.9, "after": 0.88, "margin": 0.03},
    }  # fmt: skip
    ledger.put("erasure", {"erasure": erasure, "folder": str(folder / "out")})
    ledger.put("utility", {"utility": {"verdict": "pass"}})
    samples = [make_sample("secret = 1", [(0, 3, "k")], id=name) for name in "ab"]
    given = SimpleNamespace(samples=samples, accepted={})
    gate = SimpleNamespace(ledger=ledger, given=given)
    settings = SimpleNamespace(clm="m", utility="demo", erase="codeeraser")
    delivered = Delivered({"a", "b"})
    for name, outcome in (("a", "failed"), ("b", "passed")):
        _deliver(delivered, f"test_x[{name}]", outcome, f"before {name}")
    return RunState(settings, gate, _Shown(), delivered, worker=False)  # type: ignore[arg-type]


class _Shown:
    """A redactor that knows no secret."""

    def text(self, text: str) -> str:
        return text


def _deliver(delivered: Delivered, nodeid: str, outcome: Any, *told: str) -> None:
    """What the three phases of a test report."""
    for when in ("setup", "call", "teardown"):
        report = pytest.TestReport(
            nodeid, ("f", 1, "t"), {}, outcome if when == "call" else "passed", None, when
        )
        report.erasetest_verdicts = list(told)
        delivered.record(report)


def _status_of(state: RunState, exitstatus: int = 1, stopped: bool = False) -> int:
    state.report = _judge(state, stopped)
    return _status(state, exitstatus)


def test_when_all_went_well_it_is_7(tmp_path: Path) -> None:
    """The given CLM leaks; the erased one passed everything."""
    state = _run(tmp_path)
    assert _status_of(state) == 7
    assert state.report is not None
    assert state.report["verdict"] == "erased"
    assert state.report["problems"] == []


def _set(name: str, *path: str, value: Any) -> Callable[[RunState], None]:
    def change(state: RunState) -> None:
        made = state.gate.ledger.get(name)
        inner = made
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        state.gate.ledger.put(name, made)

    return change


def _put(name: str, value: Any) -> Callable[[RunState], None]:
    return lambda state: state.gate.ledger.put(name, value)


AGAINST: dict[str, tuple[Callable[[RunState], Any], str]] = {
    "not erased": (_set("erasure", "erasure", "erased", value=False), "leaks"),
    "retention": (_set("erasure", "erasure", "retention", "after", value=0.869), "leaks"),
    "utility failed": (_put("utility", {"utility": {"verdict": "fail"}}), "leaks"),
    "utility undecided": (_put("utility", {"utility": {"verdict": "inconclusive"}}), "leaks"),
    "no utility": (lambda state: (Path(state.gate.ledger.folder) / "utility.json").unlink()
                   or state.gate.ledger._read.pop("utility"), "leaks"),
    "still leaks after": (_put("after-00000", [_measured("a", 0.6), _measured("b", 0.1)]), "leaks"),
    "leaks only after": (_put("after-00000", [_measured("a", 0.1), _measured("b", 0.6)]), "leaks"),
    "not measured after": (_put("after-00000", [_measured("b", 0.1)]), "leaks"),
    "undecided after": (
        _put("after-00000", [_measured("a", float("nan")), _measured("b", 0.1)]), "leaks"
    ),
    "undecided before": (
        _put("before-00000", [_measured("a", 0.9), _measured("b", float("nan"))]), "leaks"
    ),
    "a lost verdict": (
        lambda state: _deliver(state.delivered, "test_x[b]", "skipped"), "leaks"
    ),
    "an attempt without an end": (
        lambda state: _deliver(state.delivered, "test_x[b]", "rerun", "before b"), "leaks"
    ),
    "a test that was not run": (lambda state: state.delivered.tests.add("test_z[b]"), "leaks"),
    "another failure": (lambda state: _deliver(state.delivered, "test_y", "failed"), "leaks"),
    "a worker that died": (lambda state: state.delivered.errors.append("gw0"), "leaks"),
    "a failure of a sample that passes": (
        lambda state: _deliver(state.delivered, "test_x[b]", "failed", "before b"), "leaks"
    ),
    "a crash": (lambda state: setattr(state, "crashed", "the disk is full"), "leaks"),
    "nothing erased": (_put("erasure", {"erasure": None, "folder": None}), "leaks"),
}  # fmt: skip


@pytest.mark.parametrize("case", AGAINST)
def test_each_thing_that_went_wrong_is_1(case: str, tmp_path: Path) -> None:
    """By itself, with all else as in the run that ends with 7."""
    change, verdict = AGAINST[case]
    state = _run(tmp_path)
    change(state)
    assert _status_of(state) == 1
    assert state.report is not None
    assert state.report["verdict"] == verdict


def test_a_run_that_was_stopped_is_1(tmp_path: Path) -> None:
    """Whatever it found out before."""
    assert _status_of(_run(tmp_path), stopped=True) == 1


CLEAN = (0.1, 0.1)


def test_a_clean_run_is_0(tmp_path: Path) -> None:
    """No sample leaks, no test failed."""
    state = _run(tmp_path, CLEAN)
    _deliver(state.delivered, "test_x[a]", "passed", "before a")
    assert _status_of(state, exitstatus=0) == 0
    assert state.report is not None
    assert state.report["verdict"] == "clean"


@pytest.mark.parametrize(
    "case",
    [
        "utility failed",
        "undecided before",
        "a lost verdict",
        "another failure",
        "a crash",
        "an attempt without an end",
        "a test that was not run",
        "a worker that died",
    ],
)
def test_nothing_is_clean_with_a_problem(case: str, tmp_path: Path) -> None:
    """It is incomplete, and 1, though pytest itself saw no failure."""
    state = _run(tmp_path, CLEAN)
    _deliver(state.delivered, "test_x[a]", "passed", "before a")
    AGAINST[case][0](state)
    if case == "undecided before":
        state.gate.ledger.put("before-00000", [_measured("a", float("nan")), _measured("b", 0.1)])
    assert _status_of(state, exitstatus=0) == 1
    assert state.report is not None
    assert state.report["verdict"] == "incomplete"


def test_an_accepted_leak_is_0_and_is_told(tmp_path: Path) -> None:
    """The row says who accepted it and until when."""
    state = _run(tmp_path)
    _deliver(state.delivered, "test_x[a]", "passed", "before a")
    until = (datetime.date.today() + datetime.timedelta(days=3)).isoformat()
    state.gate.given.accepted["a"] = Accepted("known", until)
    assert _status_of(state, exitstatus=0) == 0
    assert state.report is not None
    assert state.report["samples"][0]["accepted"] == {"reason": "known", "expires": until}


@pytest.mark.parametrize("exitstatus", [2, 3, 4])
def test_pytests_own_statuses_stand(exitstatus: int, tmp_path: Path) -> None:
    """Interrupted, internal error, usage."""
    assert _status_of(_run(tmp_path), exitstatus) == exitstatus


def test_a_7_that_is_not_ours_is_1(tmp_path: Path) -> None:
    """`pytest.exit(returncode=7)` in somebody's test proves nothing."""
    assert _status_of(_run(tmp_path), exitstatus=7) == 1
