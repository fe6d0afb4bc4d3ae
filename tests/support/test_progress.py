"""Progress: lines now and then where there is no terminal, a bar that goes away where there is."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import erasetest.support.progress as module
from erasetest.support.progress import progress

EVERY = 10.0


class Clock:
    """The clock that `progress` reads."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Return the seconds since an arbitrary moment."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that the test controls."""
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


# No terminal


def test_short_work_prints_nothing(clock: Clock) -> None:
    """Neither its progress nor its end, if it takes less than ten seconds."""
    stream = io.StringIO()
    with progress("probing", stream) as task:
        for done in range(100):
            task(done, 100, "a note")
            clock.now += 0.09
    assert stream.getvalue() == ""


def test_a_line_each_ten_seconds_and_one_at_the_end(clock: Clock) -> None:
    """With title, units done, total and note; the last line gives the duration."""
    stream = io.StringIO()
    with progress("erasing", stream) as task:
        for step in range(1, 31):
            clock.now += 1.0
            task(step, 30, f"note {step}" if step < 20 else "")
    assert stream.getvalue().splitlines() == [
        "erasetest: erasing: 10/30 (1/s, 20 s left) note 10",
        "erasetest: erasing: 20/30 (1/s, 10 s left)",
        "erasetest: erasing: 30/30",
        "erasetest: erasing: done in 30 s",
    ]


@given(st.lists(st.floats(0, 25, allow_nan=False), max_size=30))
def test_lines_are_never_closer_than_ten_seconds(waits: list[float]) -> None:
    """And every line that is due is printed, whenever updates come."""
    stream, clock = io.StringIO(), Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "time", clock)
        last, due = clock.now, []
        with progress("work", stream) as task:
            for number, wait in enumerate(waits, 1):
                clock.now += wait
                task(number, len(waits))
                if clock.now - last >= EVERY:
                    last = clock.now
                    due.append(f"erasetest: work: {number}/{len(waits)}")
    lines = stream.getvalue().splitlines()
    assert [re.sub(r" \(.*\)", "", line) for line in lines[: len(due)]] == due
    assert len(lines) == len(due) + bool(due)


@pytest.mark.parametrize(
    ("done", "total", "seconds", "said"),
    [
        (1, 50_000, 0.01, "(100/s, 8 min left)"),
        (64, 50_000, 10.0, "(6.4/s, 2 h 10 min left)"),
        (5, 10, 89.4, "(0.0559/s, 89 s left)"),
        (0, 10, 5.0, ""),
        (10, 10, 5.0, ""),
        (3, 0, 5.0, ""),
    ],
)
def test_the_pace(done: int, total: int, seconds: float, said: str) -> None:
    """Rate and remaining time in a readable unit; empty if unknown."""
    assert module._pace(done, done, total, seconds) == said


def test_the_pace_is_that_of_the_last_minute(clock: Clock) -> None:
    """Work of a killed run and the speed of earlier phases do not count."""
    stream = io.StringIO()
    with progress("erasing", stream) as task:
        for step in range(100, 131):
            task(step, 400)
            clock.now += 2
        for step in range(135, 400, 5):
            task(step, 400)
            clock.now += 2
    paces = re.findall(r"(\d+)/400 \((.*?)/s", stream.getvalue())
    assert paces[0] == ("105", "0.5")
    assert paces[-1][1] == "2.5"


def test_notes_between_steps_and_a_remark(clock: Clock) -> None:
    """The note changes and the count stays; a remark is printed at once."""
    stream = io.StringIO()
    with progress("erasing", stream) as task:
        task(3, 9, "a step")
        task.remark("a killed run goes on")
        clock.now += 11
        task.doing("probing all")
    assert stream.getvalue().splitlines()[:2] == [
        "erasetest: a killed run goes on",
        "erasetest: erasing: 3/9 probing all",
    ]


def test_waiting_is_shown_at_once_and_rarely(clock: Clock) -> None:
    """Another process may take long, and nothing else explains the silence."""
    stream = io.StringIO()
    with progress("the demo CLM", stream) as task:
        for _ in range(50):
            task(0, 0)
            clock.now += 0.5
    lines = stream.getvalue().splitlines()
    waiting = "erasetest: the demo CLM: waiting for another process"
    assert lines == [waiting] * 3 + ["erasetest: the demo CLM: done in 25 s"]


def test_failed_work_is_not_shown_as_done(clock: Clock) -> None:
    """The error propagates."""
    stream = io.StringIO()

    def work() -> None:
        with progress("probing", stream) as task:
            clock.now += 11
            task(1, 2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert stream.getvalue().splitlines() == ["erasetest: probing: 1/2"]


class _Broken(io.StringIO):
    """A pipe without a reader."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("broken", [True, False])
def test_a_stream_that_cannot_be_written_does_not_stop_the_work(clock: Clock, broken: bool) -> None:
    """A broken one, and one that is closed meanwhile."""
    stream, done = _Broken() if broken else io.StringIO(), 0
    with progress("probing", stream) as task:
        stream.close()
        for done in range(1, 4):
            clock.now += 11
            task(done, 3)
    assert done == 3


def test_standard_error_is_the_default(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is for results."""
    with progress("probing") as task:
        clock.now += 11
        task(1, 1)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("erasetest: probing: 1/1\n")


# A terminal


PROGRAM = """
import sys, time
from erasetest.support.progress import progress
with progress("probing") as task:
    task(0, 0)
    task(3, 7, "worst MA 0.50")
    time.sleep(0.4)
    if sys.argv[1] == "fails":
        raise SystemExit(3)
    task(7, 7, "worst MA 0.25")
print("result")
"""


def _on_a_terminal(how: str) -> tuple[int, str, str]:
    """Return the status, standard output, and standard error as a terminal received it."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, how],
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    shown, deadline = b"", time.monotonic() + 30
    while time.monotonic() < deadline:
        if not select.select([ours], [], [], 1)[0]:
            continue
        try:
            read = os.read(ours, 4096)
        except OSError:  # Linux's word for: the other side is closed
            break
        if not read:
            break
        shown += read
    output, _ = process.communicate(timeout=30)
    os.close(ours)
    return process.returncode, output.decode(), shown.decode()


@pytest.mark.parametrize(("how", "status"), [("ends", 0), ("fails", 3)])
def test_a_real_terminal_shows_a_bar_and_its_cursor_again(how: str, status: int) -> None:
    """Whether the work succeeds or fails; printed output is not mixed into the bar."""
    returned, output, shown = _on_a_terminal(how)
    assert returned == status
    assert output == ("result\n" if how == "ends" else "")
    for part in ("probing", "3/7", "worst MA 0.50"):
        assert part in shown
    hide, show = "\x1b[?25l", "\x1b[?25h"
    assert shown.count(hide) == shown.count(show) == 1
    assert shown.index(hide) < shown.index(show)
    # The last thing to happen to the bar's line is that it is erased.
    assert "probing" not in shown[shown.rindex("\x1b[2K") :]
