"""Processes that scan."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from erasetest.errors import BadInput
from erasetest.scanning.worker_pool import Ask, Died, in_order

factor = 1


def set_factor(given: int) -> None:
    global factor
    factor = given


def work(number: int) -> int:
    if number == 5:
        time.sleep(0.2)
    if number < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return factor * number


def dead(number: int, ask: Ask) -> int:
    assert ask(abs, number) == abs(number)
    with pytest.raises(Died):
        ask(work, number)
    return 1000 + int(ask(abs, number)) * -1


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_the_order_of_the_jobs(processes: int) -> None:
    jobs = [5, *range(20)]
    found = in_order(work, jobs, processes, dead=dead, prepare=set_factor, given=(3,))
    assert list(found) == [3 * job for job in jobs]
    set_factor(1)


def test_a_job_that_ends_its_process_is_told_and_no_other_is_lost() -> None:
    jobs = [1, 2, -7, 3, 4, -8, 5, 6]
    assert list(in_order(work, jobs, 2, dead=dead)) == [1, 2, 993, 3, 4, 992, 5, 6]


def test_jobs_are_taken_as_they_are_needed() -> None:
    taken = []

    def jobs() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    results = in_order(work, jobs(), 2, dead=dead)
    assert next(results) == 0
    assert len(taken) <= 6
    results.close()  # type: ignore[attr-defined]


def test_processes_that_do_not_start_are_one_error_and_no_storm() -> None:
    with pytest.raises(BadInput, match="do not start"):
        list(in_order(work, [1, 2, 3], 2, dead=dead, prepare=os.abort))


def test_an_error_of_a_job_is_raised() -> None:
    with pytest.raises(TypeError):
        list(in_order(work, ["x"], 2, dead=dead))  # type: ignore[list-item]


def test_processes_end_with_the_one_that_began_them(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_worker_pool import dead, pid\n"
        "from erasetest.scanning.worker_pool import in_order\n"
        "if __name__ == '__main__':\n"
        "    for found in in_order(pid, iter(int, 1), 2, dead=dead):\n"
        "        print(found, flush=True)\n"
    )
    (tmp_path / "run.py").write_text(code)
    folder = str(Path(__file__).parent)
    command = [sys.executable, str(tmp_path / "run.py"), folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 20
    while _runs(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(worker)


def pid(_job: int) -> int:
    time.sleep(0.01)
    return os.getpid()


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
