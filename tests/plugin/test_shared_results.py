"""Shared results: each is computed once, whichever process dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
from pytest_erasetest.shared_results import SharedResults

_CONTEXT = multiprocessing.get_context("spawn")
BLOCKS = [f"b{n}" for n in range(6)]


def _compute_all(folder: Path, log: Path) -> None:
    def compute(name: str) -> str:
        with log.open("a") as file:
            file.write(f"{name}\n")
        time.sleep(0.1)
        return name.upper()

    results = SharedResults(folder)
    assert [results.get_or_compute(name, compute, BLOCKS) for name in BLOCKS] == [
        b.upper() for b in BLOCKS
    ]


def _compute_slowly(folder: Path) -> None:
    def compute(_: str) -> str:
        (folder / "started").touch()
        time.sleep(60)
        return "never"

    SharedResults(folder).get_or_compute("x", compute)


def test_each_result_is_computed_once(tmp_path: Path) -> None:
    """By three processes that all need all of them."""
    log = tmp_path / "log"
    workers = [_CONTEXT.Process(target=_compute_all, args=(tmp_path, log)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert sorted(log.read_text().split()) == BLOCKS


def test_a_process_that_dies_is_replaced(tmp_path: Path) -> None:
    """kill -9 releases its lock."""
    worker = _CONTEXT.Process(target=_compute_slowly, args=(tmp_path,))
    worker.start()
    deadline = time.monotonic() + 60
    while not (tmp_path / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(int(worker.pid or 0), signal.SIGKILL)
    worker.join(10)
    assert SharedResults(tmp_path).get_or_compute("x", lambda _: "mine") == "mine"


def test_a_failed_computation_leaves_nothing(tmp_path: Path) -> None:
    """The caller gets the error, and the next caller may try again."""
    results = SharedResults(tmp_path)

    def fail(_: str) -> str:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        results.get_or_compute("x", fail)
    assert results.get("x") is None
    assert SharedResults(tmp_path).get_or_compute("x", lambda _: 7) == 7
    assert results.get("x") == 7
