"""Shared results between processes that wait, fail, are killed or start at the same time."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from pytest_erasetest import shared_results
from pytest_erasetest.shared_results import SharedResults

_CONTEXT = multiprocessing.get_context("spawn")
PATIENCE = 30.0
BLOCKS = [f"before-{number:05d}" for number in range(24)]
LARGE = {"values": list(range(20_000))}


def _until(happened: Callable[[], bool]) -> None:
    """Wait until a condition holds; fail after `PATIENCE` seconds."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.01)


def _note(folder: Path, line: str) -> None:
    with (folder / "log").open("a") as file:
        file.write(f"{line}\n")


def _noted(folder: Path) -> list[str]:
    log = folder / "log"
    return log.read_text().splitlines() if log.exists() else []


def _want(folder: Path, who: str, does: str) -> None:
    """Get `x`; computing it returns at once, or waits for the file `go`, or then fails."""

    def compute(name: str) -> dict[str, str]:
        _note(folder, f"{who} makes {name}")
        if does != "returns":
            _until((folder / "go").exists)
        if does == "fails":
            raise RuntimeError(who)
        return {"by": who}

    _note(folder, f"{who} asks")
    try:
        made = SharedResults(folder).get_or_compute("x", compute)
    except RuntimeError as error:
        _note(folder, f"{who} failed with {error}")
    else:
        _note(folder, f"{who} has {json.dumps(made)}")


class Crew:
    """Processes that share results."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[SpawnProcess] = []

    def start(self, work: Callable[..., None], *arguments: Any) -> SpawnProcess:
        """Start another process."""
        process = _CONTEXT.Process(target=work, args=(self.folder, *arguments))
        process.start()
        self.started.append(process)
        return process

    def ended(self) -> list[int | None]:
        """Wait for all processes; return their exit codes."""
        for process in self.started:
            process.join(PATIENCE)
        return [process.exitcode for process in self.started]

    def one_computes_others_wait(self, does: str, waiters: str) -> SpawnProcess:
        """Start a process `A` that computes `x`, and others that wait for it; return `A`."""
        maker = self.start(_want, "A", does)
        _until(lambda: "A makes x" in _noted(self.folder))
        for who in waiters:
            self.start(_want, who, "returns")
        _until(lambda: all(f"{who} asks" in _noted(self.folder) for who in waiters))
        time.sleep(0.2)
        assert not [line for line in _noted(self.folder) if "has" in line]
        return maker


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    """No process at first; remaining ones are killed at the end."""
    made = Crew(tmp_path)
    yield made
    for process in made.started:
        process.kill()
        process.join()


def test_waiting_processes_get_the_result(crew: Crew) -> None:
    """No other process computes it."""
    crew.one_computes_others_wait("stays", "BC")
    (crew.folder / "go").touch()
    assert crew.ended() == [0, 0, 0]
    noted = _noted(crew.folder)
    assert [line for line in noted if "makes" in line] == ["A makes x"]
    assert sorted(line for line in noted if "has" in line) == [
        f'{who} has {{"by": "A"}}' for who in "ABC"
    ]


def test_kill_9_of_the_computing_process_while_others_wait(crew: Crew) -> None:
    """One of them computes it, both get it, and no partial result is left."""
    maker = crew.one_computes_others_wait("stays", "BC")
    assert maker.pid is not None
    os.kill(maker.pid, signal.SIGKILL)
    assert crew.ended() == [-signal.SIGKILL, 0, 0]
    noted = _noted(crew.folder)
    makers = [line[0] for line in noted if "makes" in line]
    assert len(makers) == 2
    assert makers[1] in "BC"
    assert sorted(line for line in noted if "has" in line) == [
        f'{who} has {{"by": "{makers[1]}"}}' for who in "BC"
    ]
    assert SharedResults(crew.folder).get("x") == {"by": makers[1]}


def test_a_failure_affects_only_its_process(crew: Crew) -> None:
    """A waiting process computes the result; the failed one saves nothing and blocks none."""
    crew.one_computes_others_wait("fails", "BC")
    (crew.folder / "go").touch()
    assert crew.ended() == [0, 0, 0]
    noted = _noted(crew.folder)
    assert "A failed with A" in noted
    makers = [line[0] for line in noted if "makes" in line]
    assert makers[0] == "A"
    assert len(makers) == 2
    assert sorted(line for line in noted if "has" in line) == [
        f'{who} has {{"by": "{makers[1]}"}}' for who in "BC"
    ]


def test_a_computation_that_always_fails_blocks_no_process(crew: Crew) -> None:
    """Each process tries once and reports the failure."""
    (crew.folder / "go").touch()
    for who in "ABC":
        crew.start(_want, who, "fails")
    assert crew.ended() == [0, 0, 0]
    noted = _noted(crew.folder)
    assert sorted(line for line in noted if "failed" in line) == [
        f"{who} failed with {who}" for who in "ABC"
    ]
    assert len([line for line in noted if "makes" in line]) == 3
    assert SharedResults(crew.folder).get("x") is None


def _want_all(folder: Path, who: int) -> None:
    def compute(name: str) -> list[str]:
        _note(folder, name)
        time.sleep(0.005)
        return [name, str(who)]

    results = SharedResults(folder)
    wanted = random.Random(who).sample(BLOCKS, len(BLOCKS))
    _note(folder, "ready")
    _until((folder / "go").exists)
    made = {name: results.get_or_compute(name, compute, BLOCKS) for name in wanted}
    (folder / f"seen-{who}").write_text(json.dumps(made, sort_keys=True))


def test_concurrent_processes_compute_each_block_once(crew: Crew) -> None:
    """Four processes get all blocks, each in another order: one computation, equal results."""
    for who in range(4):
        crew.start(_want_all, who)
    _until(lambda: _noted(crew.folder).count("ready") == 4)
    (crew.folder / "go").touch()
    assert crew.ended() == [0] * 4
    claimed = Counter(line for line in _noted(crew.folder) if line != "ready")
    assert claimed == Counter(BLOCKS)
    seen = {(crew.folder / f"seen-{who}").read_text() for who in range(4)}
    assert len(seen) == 1
    by = Counter(value[1] for value in json.loads(seen.pop()).values())
    assert len(by) > 1


def _want_x_and_others(folder: Path) -> None:
    def compute(name: str) -> str:
        _note(folder, f"B makes {name}")
        return name

    assert SharedResults(folder).get_or_compute("x", compute, ["x", "y", "z"]) == {"by": "A"}


def test_a_waiting_process_computes_other_results(crew: Crew) -> None:
    """And never one that another process computes."""
    crew.start(_want, "A", "stays")
    _until(lambda: "A makes x" in _noted(crew.folder))
    crew.start(_want_x_and_others)
    _until(lambda: "B makes z" in _noted(crew.folder))
    (crew.folder / "go").touch()
    assert crew.ended() == [0, 0]
    assert [line for line in _noted(crew.folder) if line.startswith("B")] == [
        "B makes y",
        "B makes z",
    ]


def _put_often(folder: Path) -> None:
    results = SharedResults(folder)
    for _ in range(40):
        results.put("large", LARGE)


def test_a_result_is_never_read_partially(crew: Crew) -> None:
    """While it is written, others read the previous result or none."""
    writer = crew.start(_put_often)
    seen = []
    while writer.is_alive():
        seen.append(SharedResults(crew.folder).get("large"))
    assert crew.ended() == [0]
    assert SharedResults(crew.folder).get("large") == LARGE
    assert {json.dumps(value) for value in seen} <= {"null", json.dumps(LARGE)}


def test_a_result_saved_just_before_the_lock_is_not_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may finish between the look at the folder and the lock."""

    class LateLock(FileLock):
        def acquire(self, *arguments: Any, **named: Any) -> Any:
            SharedResults(tmp_path).put("x", "theirs")
            return super().acquire(*arguments, **named)

    monkeypatch.setattr(shared_results, "FileLock", LateLock)
    assert SharedResults(tmp_path).get_or_compute("x", lambda _: "mine") == "theirs"


@pytest.mark.parametrize("value", [0, False, "", [], {}, {"a": None}])
def test_an_empty_result_is_a_result(tmp_path: Path, value: Any) -> None:
    """It is computed once, as any other."""
    made = []

    def compute(name: str) -> Any:
        made.append(name)
        return value

    assert SharedResults(tmp_path).get_or_compute("x", compute) == value
    assert SharedResults(tmp_path).get_or_compute("x", compute) == value
    assert made == ["x"]


def test_nan_and_infinity_are_preserved(tmp_path: Path) -> None:
    """Otherwise another process would judge a damaged CLM as clean."""
    SharedResults(tmp_path).put("x", {"nan": math.nan, "inf": math.inf})
    read = SharedResults(tmp_path).get("x")
    assert math.isnan(read["nan"])
    assert read["inf"] == math.inf
