"""`erasetest gate`: the process, and how the result of its child is read."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import command_line
import pytest
import tiny
from command_line import erasetest

from erasetest.errors import BadInput
from erasetest.reports.gate_result import (
    Request,
    contradiction,
    failed_status,
    final_status,
    read_result,
)
from erasetest.samples import write_manifest
from erasetest.support.gate_variable import GATE_VARIABLE


@pytest.fixture
def file() -> Iterator[BinaryIO]:
    """Where a child writes its result."""
    with tempfile.TemporaryFile(buffering=0) as opened:
        yield opened


def _clean(**changed: Any) -> dict[str, Any]:
    row = {"id": "a", "kinds": ["k"], "verdict": "pass", "measures": {}, "after": None}
    return {
        "schema": "erasetest.leakage-report/1", "verdict": "clean", "clm": {"name": "m"},
        "thresholds": {}, "samples": [row], "erasure": None, "attacks": [], "utility": None,
        "problems": [], "environment": {}, **changed,
    }  # fmt: skip


def test_a_result_comes_back(file: BinaryIO) -> None:
    """NaN is read as null; the second result of a process replaces the first."""
    request = Request.make(file)
    row = {**_clean()["samples"][0], "measures": {"ma": float("nan")}}
    request.write(_clean(samples=[row] * 9), 0)
    request.write(_clean(samples=[row]), 0)
    found = read_result(file, request, os.getpid())
    assert isinstance(found, dict)
    assert found["samples"][0]["measures"] == {"ma": None}


def test_only_this_run_can_answer(file: BinaryIO) -> None:
    """Another nonce, another process, and a status that is not that of the verdict."""
    request = Request.make(file)
    Request(request.handle, "0" * 32).write(_clean(), 0)
    assert "not of this run" in read_result(file, request, os.getpid())
    request.write(_clean(), 0)
    assert "not of this run" in read_result(file, request, os.getpid() + 1)
    request.write(_clean(), 1)
    assert "(status 1)" in read_result(file, request, os.getpid())
    assert Request.make(file).nonce != request.nonce


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b'{"report": 1}'])
def test_what_is_no_result_is_none(file: BinaryIO, content: bytes) -> None:
    """A child that was killed while or before it wrote."""
    request = Request.make(file)
    file.write(content)
    assert isinstance(read_result(file, request, os.getpid()), str)


LEAK = {"id": "a", "kinds": ["k"], "verdict": "leak", "measures": {}, "after": None}
KEPT = {**LEAK, "after": {"verdict": "pass", "measures": {}}}
BAD = {
    "no samples": _clean(samples=[]),
    "a leak": _clean(samples=[LEAK]),
    "no verdict": _clean(samples=[{**LEAK, "verdict": "inconclusive"}]),
    "a problem": _clean(problems=["1 of 2 samples got no verdict"]),
    "utility undecided": _clean(utility={"verdict": "inconclusive"}),
    "erased without an erasure": _clean(verdict="erased", samples=[KEPT]),
    "an erasure that failed": _clean(
        verdict="erased", samples=[KEPT], erasure={"erased": False}
    ),
    "a leak after erasing": _clean(
        verdict="erased", erasure={"erased": True}, samples=[{**KEPT, "after": LEAK}]
    ),
    "not measured after erasing": _clean(
        verdict="erased", erasure={"erased": True}, samples=[LEAK]
    ),
}  # fmt: skip

BASE = {"name": "older", "thresholds": {}, "new_only": True}
REASON = "secret 1 of 2 (k): greedy decoding extracts it"
THERE = {"verdict": "leak", "measures": {}, "reasons": [REASON]}
OLD = {**LEAK, **THERE, "base": THERE, "change": "before"}
LESS = {"verdict": "pass", "measures": {}, "reasons": []}
UNCLEAR = {**LESS, "verdict": "inconclusive"}
ELSEWHERE = {**THERE, "reasons": [REASON.replace("secret 1", "secret 2")]}
STAYED = {**OLD, "after": THERE}
BAD |= {
    "an old leak, and all count": _clean(base={**BASE, "new_only": False}, samples=[OLD]),
    "an old leak, and no base": _clean(samples=[OLD]),
    "an old leak, and the base is null": _clean(base=None, samples=[OLD]),
    "an old leak that says nothing": _clean(base=BASE, samples=[{**OLD, "change": None}]),
    "a sample without a result on the base": _clean(base=BASE),
    "a new leak": _clean(base=BASE, samples=[{**OLD, "base": LESS, "change": "new"}]),
    "a new leak called old": _clean(base=BASE, samples=[{**OLD, "base": LESS}]),
    "an unclear base called a leak": _clean(base=BASE, samples=[{**OLD, "base": UNCLEAR}]),
    "another secret": _clean(base=BASE, samples=[{**OLD, "base": ELSEWHERE}]),
    "another secret, said": _clean(
        base=BASE, samples=[{**OLD, "base": ELSEWHERE, "change": "new"}]
    ),
    "an old leak that another one follows": _clean(
        verdict="erased",
        erasure={"erased": True},
        base=BASE,
        samples=[{**OLD, "after": ELSEWHERE}],
    ),
    "an old leak that was not measured again": _clean(
        verdict="erased", erasure={"erased": True}, base=BASE, samples=[OLD]
    ),
    "an old leak after erasing, and all count": _clean(
        verdict="erased",
        erasure={"erased": True},
        base={**BASE, "new_only": False},
        samples=[STAYED],
    ),
    "a leak that was gone and returned": _clean(
        verdict="erased",
        erasure={"erased": True},
        base=BASE,
        samples=[{**LEAK, **LESS, "after": THERE, "base": THERE, "change": "gone"}],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_verdict_that_its_rows_do_not_bear_out_is_seen(case: str) -> None:
    """Each condition alone."""
    assert contradiction(BAD[case]) is not None


def test_a_verdict_that_its_rows_bear_out_is_taken() -> None:
    """A leak may be accepted, or erased."""
    accepted = {**LEAK, "accepted": {"reason": "known", "expires": "2030-01-01"}}
    assert contradiction(_clean()) is None
    assert contradiction(_clean(samples=[accepted])) is None
    erased = _clean(verdict="erased", erasure={"erased": True}, samples=[KEPT, accepted])
    assert contradiction(erased) is None
    assert contradiction(_clean(verdict="leaks", samples=[LEAK])) is None


def test_old_leaks_are_taken_where_only_new_ones_count() -> None:
    """The report says so, and has the result on the base; beside one that is gone."""
    gone = {**LEAK, **LESS, "base": THERE, "change": "gone"}
    assert contradiction(_clean(base=BASE, samples=[OLD, gone])) is None
    erased = {"verdict": "erased", "erasure": {"erased": True}, "base": BASE}
    new = {**OLD, "base": LESS, "change": "new", "after": LESS}
    kept = {**gone, "after": LESS}
    assert contradiction(_clean(**erased, samples=[STAYED, new, kept])) is None


@pytest.mark.parametrize(
    ("process", "judged", "status"),
    [
        (0, 0, 0), (0, 1, 1), (0, 7, 7), (7, 7, 7), (1, 1, 1), (1, 0, 1), (1, 7, 1), (7, 0, 1),
        (7, 1, 1), (2, 0, 2), (3, 7, 3), (4, 1, 4), (-9, 0, 137), (-15, 7, 143), (256, 0, 1),
        (512 + 7, 0, 1),
    ],
)  # fmt: skip
def test_the_status_of_process_and_report(process: int, judged: int, status: int) -> None:
    """A report overrules a 0; a process that failed stays failed."""
    assert final_status(process, judged) == status
    assert failed_status(process) not in (0, 7)


@pytest.mark.parametrize("value", ["", "x:y", "99999:abc", ":abc", "1", str(2**70) + ":a"])
def test_a_variable_that_no_gate_set_is_refused(value: str) -> None:
    """It is removed from the environment all the same."""
    environment = {GATE_VARIABLE: value}
    with pytest.raises(BadInput, match="unset it"):
        Request.take(environment)
    assert environment == {}
    assert Request.take(environment) is None


def test_a_request_is_taken_once(file: BinaryIO) -> None:
    """Processes that are started later inherit neither the variable nor the file."""
    request = Request.make(file)
    os.set_inheritable(request.handle, True)
    environment = {GATE_VARIABLE: request.as_variable()}
    assert Request.take(environment) == request
    assert environment == {}
    assert not os.get_inheritable(request.handle)


def test_help_is_the_gates_own_only_by_itself(tmp_path: Path) -> None:
    """With arguments of pytest, `--help` is pytest's, which runs no test: a usage error."""
    done = erasetest("gate", "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "All arguments are pytest's" in " ".join(done.stdout.split())
    done = erasetest("gate", "--clm=demo", "--help", cwd=tmp_path)
    assert done.returncode == 4
    assert "--help runs no test" in done.stderr


def test_without_a_clm_it_is_a_usage_error(tmp_path: Path) -> None:
    """The suites are found without being named."""
    done = erasetest("gate", cwd=tmp_path)
    assert done.returncode == 4
    assert "--clm demo" in done.stderr


def _start(
    folder: Path, url: str, test: str, *arguments: str, **more: Any
) -> subprocess.Popen[str]:
    pytest.importorskip("httpx")
    write_manifest(folder / "samples.jsonl", tiny.PLANTED[-2:])
    (folder / "test_mine.py").write_text(test)
    command = ["gate", "-p", "no:hypothesispytest", f"--clm={url}", "--leak-samples=samples.jsonl"]
    return command_line.start(
        "erasetest.cli", *command, "test_mine.py", *arguments, cwd=folder,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more,
    )  # fmt: skip


SLOW = """
import pathlib, time

def test_mine(leak):
    pathlib.Path("begun").touch()
    time.sleep(60)
"""


@pytest.mark.usefixtures("default_sighup")
@pytest.mark.parametrize(
    ("number", "status", "send"),
    [
        (signal.SIGINT, 2, os.kill),
        (signal.SIGINT, 2, os.killpg),
        (signal.SIGTERM, 2, os.kill),  # the plugin ends as by Ctrl-C, to remove what it keeps
        (signal.SIGHUP, 129, os.kill),
    ],
)
def test_a_signal_reaches_pytest(
    tmp_path: Path,
    urls: dict[bool, str],
    number: signal.Signals,
    status: int,
    send: Callable[[int, int], None],
) -> None:
    """Ctrl-C ends it once, with a report of what is missing; never green."""
    gate = _start(
        tmp_path, urls[False], SLOW, "--leak-report=r.json", start_new_session=True
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    send(gate.pid, number)
    out, err = gate.communicate(timeout=60)
    assert gate.returncode == status, out + err
    assert "Traceback" not in err
    if number != signal.SIGHUP:
        assert json.loads((tmp_path / "r.json").read_text())["verdict"] == "incomplete"


def test_pytest_ends_with_a_gate_that_is_killed(tmp_path: Path, urls: dict[bool, str]) -> None:
    """`kill -9` of the gate leaves no CLM running."""
    own = SLOW.replace("touch()", "write_text(str(os.getpid()))").replace("import ", "import os, ")
    gate = _start(tmp_path, urls[False], own)
    begun = tmp_path / "begun"
    deadline = time.monotonic() + 60
    while not (begun.exists() and begun.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    gate.kill()
    gate.communicate(timeout=60)
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.kill(int(begun.read_text()), 0)
            time.sleep(0.05)
        raise AssertionError("pytest is still running")


def test_input_and_output_pass_through(tmp_path: Path, urls: dict[bool, str]) -> None:
    """Nothing is between the terminal and pytest."""
    test = "def test_mine(leak): print('got', input())\n"
    gate = _start(tmp_path, urls[False], test, "-s", stdin=subprocess.PIPE)
    out, err = gate.communicate("one\ntwo\n", timeout=60)
    assert gate.returncode == 0, out + err
    assert "got one" in out
    assert "got two" in out
    assert err == ""
