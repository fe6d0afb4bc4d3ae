"""Worker processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from erasetest.errors import BadInput
from erasetest.scanning.worker_pool import Ask, Died, in_order


def work(number: int, factor: int = 1) -> int:
    if number == 5:
        time.sleep(0.2)
    if number < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return factor * number


def on_death(number: int, ask: Ask) -> int:
    assert ask(abs, number) == abs(number)
    with pytest.raises(Died):
        ask(work, number)
    return 1000 + int(ask(abs, number)) * -1


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_the_order_of_the_jobs(processes: int) -> None:
    jobs = [5, *range(20)]
    found = in_order(partial(work, factor=3), jobs, processes, on_death=on_death)
    assert list(found) == [3 * job for job in jobs]


def test_a_job_that_ends_its_process_is_reported_and_no_other_is_lost() -> None:
    jobs = [1, 2, -7, 3, 4, -8, 5, 6]
    assert list(in_order(work, jobs, 2, on_death=on_death)) == [1, 2, 993, 3, 4, 992, 5, 6]


def test_jobs_are_consumed_as_they_are_needed() -> None:
    taken = []

    def jobs() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    results = in_order(work, jobs(), 2, on_death=on_death)
    assert next(results) == 0
    assert len(taken) <= 6
    results.close()  # type: ignore[attr-defined]


class AbortsWhenLoaded:
    """Work that ends each process that receives it."""

    def __reduce__(self) -> tuple[Callable[[], object], tuple[()]]:
        return os.abort, ()

    def __call__(self, number: int) -> int:
        return number


def test_processes_that_do_not_start_are_one_error_and_no_storm() -> None:
    with pytest.raises(BadInput, match="do not start"):
        list(in_order(AbortsWhenLoaded(), [1, 2, 3], 2, on_death=on_death))


def test_an_error_of_a_job_is_raised() -> None:
    with pytest.raises(TypeError):
        list(in_order(work, ["x"], 2, on_death=on_death))  # type: ignore[list-item]


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_worker_pool import on_death, pid\n"
        "from erasetest.scanning.worker_pool import in_order\n"
        "if __name__ == '__main__':\n"
        "    for found in in_order(pid, iter(int, 1), 2, on_death=on_death):\n"
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
