"""No run passes without a verdict for every sample, with `erasetest gate` and with plain pytest.

The CLM is an endpoint served by this process, so that no run loads a model.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, cast

import pytest
import tiny
from fail_closed_ways import OUTSIDE, WAYS, Way
from gate_runs import SUITES

from erasetest.commands.gate import run_gate, start_pytest
from erasetest.reports.gate_result import Request
from erasetest.samples import write_manifest
from erasetest.support.gate_variable import GATE_VARIABLE

pytest.importorskip("httpx")

SAMPLES = tiny.PLANTED[-2:]
GREEN = (0, 7)
PREVENTED = {name: way for name, way in WAYS.items() if not way.gate_alone}


class Forked:
    """Pytest in a fork of this process, whose modules are already imported: saves seconds."""

    def __init__(self, arguments: list[str], request: Request) -> None:
        self.pid = os.fork()
        if self.pid == 0:
            status = 70
            try:
                os.environ[GATE_VARIABLE] = request.as_variable()
                status = int(pytest.main(arguments))
            except SystemExit as ended:
                status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status & 0xFF)

    def wait(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def _prepare(way: Way, folder: Path, urls: dict[bool, str], patch: pytest.MonkeyPatch) -> list[str]:
    """Write the files of a case; return the arguments of pytest, without paths of tests."""
    clm = urls[way.leaks]
    write_manifest(folder / "samples.jsonl", SAMPLES)
    (folder / "empty.jsonl").write_text("")
    accepted = [{"id": s.id, "reason": "known", "expires": "9999-12-31"} for s in SAMPLES]
    (folder / "ages.json").write_text(
        json.dumps({"schema": "erasetest.leak-baseline/1", "accepted": accepted})
    )
    (folder / "pytest.ini").write_text(f"[pytest]\n{way.ini.format(clm=clm)}")
    failed = folder / ".pytest_cache" / "v" / "cache"
    failed.mkdir(parents=True)
    (failed / "lastfailed").write_text('{"test_mine.py::test_mine[planted-6]": true}')
    (folder / "test_mine.py").write_text(way.own_tests or "def test_mine(leak): pass\n")
    (folder / "evil.py").write_text(way.plugin)
    patch.chdir(folder)
    patch.setenv("PYTHONPATH", str(folder))
    patch.syspath_prepend(folder)
    patch.delenv("PYTEST_ADDOPTS", raising=False)
    inner = ["test_inner.py", f"--clm={urls[False]}", "--leak-samples=samples.jsonl"]
    patch.setenv("INNER", "|".join([*inner, "-p", "no:cacheprovider"]))
    (folder / "test_inner.py").write_text("def test_inner(leak): pass\n")
    for name, value in way.environment.items():
        patch.setenv(name, value)
    arguments = ["-c", "pytest.ini", "--rootdir=.", "-p", "no:hypothesispytest", "-p", "evil"]
    if "xdist" not in way.arguments:
        arguments += ["-p", "no:xdist"]
    if way.ini and "addopts" not in way.ini:
        return [*arguments, *way.arguments]
    named = {argument.partition("=")[0] for argument in way.arguments}
    given = {"--clm": clm, "--leak-samples": "samples.jsonl"}
    return [
        *arguments,
        *[f"{flag}={value}" for flag, value in given.items() if flag not in named],
        *way.arguments,
    ]


def _own_tests(way: Way) -> list[str]:
    return ["test_mine.py"] if way.own_tests else []


@pytest.mark.parametrize("name", WAYS)
def test_the_gate_does_not_pass(
    name: str,
    tmp_path: Path,
    urls: dict[bool, str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The status is neither 0 nor 7."""
    way = WAYS[name]
    arguments = _prepare(way, tmp_path, urls, monkeypatch)
    start = start_pytest if way.gate_alone == OUTSIDE else cast("Any", Forked)
    status = run_gate([*arguments, *_own_tests(way)], start)
    output = capfd.readouterr()
    assert status not in GREEN, output.out + output.err
    assert "INTERNALERROR> " not in output.out or "sys.exit" in name, output.out
    without = "no:erasetest" in str(way) or "AUTOLOAD" in str(way)
    assert ("unrecognized arguments" in output.err) is without


@pytest.mark.parametrize("name", PREVENTED)
def test_plain_pytest_does_not_pass(
    name: str, pytester: pytest.Pytester, urls: dict[bool, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hooks of the plugin detect it, from the first to the last hook of pytest."""
    way = PREVENTED[name]
    arguments = _prepare(way, pytester.path, urls, monkeypatch)
    named = any(argument.startswith("test_mine.py") for argument in way.arguments)
    tests = _own_tests(way) or ([] if named else [str(SUITES)])
    run = pytester.runpytest_inprocess(*arguments, *tests)
    assert run.ret not in GREEN, run.outlines + run.errlines
    assert int(run.ret) & 0xFF not in GREEN
    without = "no:erasetest" in str(way) or "AUTOLOAD" in str(way)
    assert ("unrecognized arguments" in run.stderr.str()) is without


def test_a_clean_run_passes(
    tmp_path: Path, urls: dict[bool, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it, the cases above would prove nothing."""
    arguments = _prepare(Way(), tmp_path, urls, monkeypatch)
    assert run_gate(arguments) == 0
    assert run_gate(arguments, cast("Any", Forked)) == 0


def test_a_clean_run_passes_in_plain_pytest(
    pytester: pytest.Pytester, urls: dict[bool, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As above, without the gate."""
    arguments = _prepare(Way(), pytester.path, urls, monkeypatch)
    assert pytester.runpytest_inprocess(*arguments, str(SUITES)).ret == 0
