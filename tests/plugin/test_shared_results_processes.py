"""The ledger among processes that wait, fail, are killed or come all at once."""

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
    """Wait until something has happened; fail where it does not."""
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
    """Ask for `x`; its maker returns at once, or stays until `go` is there, or then fails."""

    def make(name: str) -> dict[str, str]:
        _note(folder, f"{who} makes {name}")
        if does != "returns":
            _until((folder / "go").exists)
        if does == "fails":
            raise RuntimeError(who)
        return {"by": who}

    _note(folder, f"{who} asks")
    try:
        made = SharedResults(folder).make("x", make)
    except RuntimeError as error:
        _note(folder, f"{who} failed with {error}")
    else:
        _note(folder, f"{who} has {json.dumps(made)}")


class Crew:
    """Processes on one ledger."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[SpawnProcess] = []

    def start(self, work: Callable[..., None], *arguments: Any) -> SpawnProcess:
        """One more."""
        process = _CONTEXT.Process(target=work, args=(self.folder, *arguments))
        process.start()
        self.started.append(process)
        return process

    def ended(self) -> list[int | None]:
        """How each ended, once all have."""
        for process in self.started:
            process.join(PATIENCE)
        return [process.exitcode for process in self.started]

    def maker_and_waiters(self, does: str, waiters: str) -> SpawnProcess:
        """A process `A` that is making `x`, and others that have asked for it since."""
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
    """None started yet, none left afterwards."""
    made = Crew(tmp_path)
    yield made
    for process in made.started:
        process.kill()
        process.join()


def test_those_who_wait_get_what_was_made(crew: Crew) -> None:
    """Nobody else makes it."""
    crew.maker_and_waiters("stays", "BC")
    (crew.folder / "go").touch()
    assert crew.ended() == [0, 0, 0]
    noted = _noted(crew.folder)
    assert [line for line in noted if "makes" in line] == ["A makes x"]
    assert sorted(line for line in noted if "has" in line) == [
        f'{who} has {{"by": "A"}}' for who in "ABC"
    ]


def test_kill_9_of_the_maker_while_others_wait(crew: Crew) -> None:
    """One of them makes it, both have it, and nothing half made is left."""
    maker = crew.maker_and_waiters("stays", "BC")
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


def test_a_failure_is_its_makers_own(crew: Crew) -> None:
    """Those who wait try for themselves; the failed one keeps nothing and blocks nobody."""
    crew.maker_and_waiters("fails", "BC")
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


def test_work_that_fails_everywhere_hangs_nobody(crew: Crew) -> None:
    """Each tries once and says so."""
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
    def make(name: str) -> list[str]:
        _note(folder, name)
        time.sleep(0.005)
        return [name, str(who)]

    ledger = SharedResults(folder)
    wanted = random.Random(who).sample(BLOCKS, len(BLOCKS))
    _note(folder, "ready")
    _until((folder / "go").exists)
    made = {name: ledger.make(name, make, BLOCKS) for name in wanted}
    (folder / f"seen-{who}").write_text(json.dumps(made, sort_keys=True))


def test_claims_at_once_claim_each_block_once(crew: Crew) -> None:
    """Four that want all blocks, each in an order of its own: each made once, all see the same."""
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
    def make(name: str) -> str:
        _note(folder, f"B makes {name}")
        return name

    assert SharedResults(folder).make("x", make, ["x", "y", "z"]) == {"by": "A"}


def test_who_waits_makes_the_others_meanwhile(crew: Crew) -> None:
    """And never what is being made."""
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
    ledger = SharedResults(folder)
    for _ in range(40):
        ledger.put("large", LARGE)


def test_a_result_is_read_whole_while_it_is_written(crew: Crew) -> None:
    """Whoever reads meanwhile reads the older one or none."""
    writer = crew.start(_put_often)
    seen = []
    while writer.is_alive():
        seen.append(SharedResults(crew.folder).get("large"))
    assert crew.ended() == [0]
    assert SharedResults(crew.folder).get("large") == LARGE
    assert {json.dumps(value) for value in seen} <= {"null", json.dumps(LARGE)}


def test_what_was_made_just_before_the_lock_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may end between the look at the folder and the lock."""

    class LateLock(FileLock):
        def acquire(self, *arguments: Any, **named: Any) -> Any:
            SharedResults(tmp_path).put("x", "theirs")
            return super().acquire(*arguments, **named)

    monkeypatch.setattr(shared_results, "FileLock", LateLock)
    assert SharedResults(tmp_path).make("x", lambda _: "mine") == "theirs"


@pytest.mark.parametrize("value", [0, False, "", [], {}, {"a": None}])
def test_an_empty_result_is_a_result(tmp_path: Path, value: Any) -> None:
    """Made once, as any other."""
    made = []

    def make(name: str) -> Any:
        made.append(name)
        return value

    assert SharedResults(tmp_path).make("x", make) == value
    assert SharedResults(tmp_path).make("x", make) == value
    assert made == ["x"]


def test_what_is_no_number_stays_so(tmp_path: Path) -> None:
    """Another process has to see it, or it would judge a damaged CLM as clean."""
    SharedResults(tmp_path).put("x", {"nan": math.nan, "inf": math.inf})
    read = SharedResults(tmp_path).get("x")
    assert math.isnan(read["nan"])
    assert read["inf"] == math.inf
