"""Files of a pytest run: none overwrites another, and a file that is not a store is refused."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
import tiny

from erasetest.errors import BadInput
from erasetest.probes.measure_store import ProbeStore, check_store
from erasetest.samples import write_manifest

COLLISIONS = {
    "a report over thresholds": (["--leak-report=t.json"], "--leak-thresholds", "--leak-report"),
    "a report over the baseline": (["--leak-report=b.json"], "--leak-baseline", "--leak-report"),
    "a report over samples": (
        ["--leak-samples=t.json", "--leak-report=soft.json"], "--leak-samples", "--leak-report"
    ),
    "a report over the store": (
        ["--clm=clm", "--leak-store=new.json", "--leak-report=./new.json"],
        "--leak-store", "--leak-report",
    ),
    "a report over JUnit": (
        ["--junitxml=new.json", "--leak-report=new.json"], "--junitxml", "--leak-report"
    ),
    "JUnit over thresholds": (["--junitxml=hard.json"], "--junitxml", "--leak-thresholds"),
    "a log over samples": (["--log-file=samples.jsonl"], "--log-file", "--leak-samples"),
    "a log of the ini file over samples": (
        ["-o", "log_file=samples.jsonl"], "--log-file", "--leak-samples"
    ),
    "a trace over samples": (["--debug=samples.jsonl"], "--leak-samples", "--debug"),
    "two reports in one": (
        ["--leak-report=new.json", "--leak-report=away/new.json"], "--leak-report", "twice"
    ),
    "a baseline over thresholds": (
        ["--leak-baseline=hard.json", "--leak-accept"], "--leak-thresholds", "--leak-baseline"
    ),
    "a report inside the CLM": (
        ["--clm=clm", "--leak-report=clm/r.json"], "--clm", "--leak-report"
    ),
    "a report inside the checkpoint": (
        ["--clm=clm", "--erase", "--erase-out=out", "--leak-report=out/r.json"],
        "--erase-out", "--leak-report",
    ),
    "a checkpoint inside the CLM": (
        ["--clm=clm", "--erase", "--erase-out=clm/out"], "--clm", "--erase-out"
    ),
    "JUnit inside the CLM": (["--clm=clm", "--junitxml=clm/j.xml"], "--clm", "--junitxml"),
    "retained code over": (
        ["--clm=clm", "--erase", "--erase-retain=p.json", "--leak-report=p.json"],
        "--erase-retain", "--leak-report",
    ),
    "problems over": (
        ["--clm=clm", "--utility=p.json", "--utility-against=clm", "--leak-report=p.json"],
        "--utility", "--leak-report",
    ),
    "samples in the folder of temporary files": (
        ["--basetemp=clm", "--leak-samples=clm/config.json"], "--basetemp", "--leak-samples"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", COLLISIONS)
def test_a_run_that_would_overwrite_its_files_is_refused(
    pytester: pytest.Pytester, case: str
) -> None:
    """Status 4, one line with both options, and all files unchanged."""
    arguments, one, other = COLLISIONS[case]
    folder = pytester.path
    write_manifest(folder / "samples.jsonl", tiny.PLANTED[-2:])
    for name in ("t.json", "b.json", "p.json"):
        (folder / name).write_text(name)
    (folder / "soft.json").symlink_to("t.json")
    os.link(folder / "t.json", folder / "hard.json")
    (folder / "away").symlink_to(".")
    (folder / "clm").mkdir()
    (folder / "clm" / "config.json").write_text("{}")
    pytester.makepyfile(test_mine="def test_mine(leak): pass\n")
    names = [argument.partition("=")[0] for argument in arguments]
    given = {
        "--clm": "http://127.0.0.1:9/v1", "--leak-samples": "samples.jsonl",
        "--leak-thresholds": "t.json", "--leak-baseline": "b.json",
    }  # fmt: skip
    before = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    options = [f"{flag}={path}" for flag, path in given.items() if flag not in names]
    run = pytester.runpytest_inprocess(
        "-p", "no:hypothesispytest", "-p", "no:cacheprovider",
        "test_mine.py", *options, *arguments,
    )  # fmt: skip
    assert run.ret == 4, run.outlines
    errors = [line for line in run.errlines if line.startswith("ERROR: ")]
    assert len(errors) == 1, run.errlines
    assert one in errors[0]
    assert other in errors[0]
    after = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    assert {path: after.get(path) for path in before} == before


def _other_database(path: Path) -> None:
    with sqlite3.connect(path) as file:
        file.execute("CREATE TABLE cookies (host TEXT)")
    file.close()


def _damaged(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)


NO_STORES = {
    "notes": lambda path: path.write_text("notes"),
    "another database": _other_database,
    "a damaged store": _damaged,
}


@pytest.mark.parametrize("case", NO_STORES)
def test_a_file_that_is_not_a_store_is_refused_at_the_start(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    case: str,
) -> None:
    """Once, with status 4 under pytest and 2 by `erasetest probe`, before a CLM is loaded."""
    from erasetest.cli import main

    path = pytester.path / "notes.txt"
    NO_STORES[case](path)
    before = path.read_bytes()
    write_manifest(pytester.path / "samples.jsonl", tiny.PLANTED[-2:])
    (pytester.path / "clm").mkdir()
    (pytester.path / "clm" / "config.json").write_text("{}")
    pytester.makepyfile(test_mine="def test_mine(leak): pass\n")
    run = pytester.runpytest_inprocess(
        "-p", "no:hypothesispytest", "--clm=clm", "--leak-samples=samples.jsonl",
        "--leak-store=notes.txt",
    )  # fmt: skip
    assert run.ret == 4
    text = run.stdout.str() + run.stderr.str()
    assert text.count("notes.txt: is not a store of measures") == 1
    monkeypatch.setattr(
        "sys.argv",
        ["erasetest", "probe", "samples.jsonl", "--clm", "clm", "-o", "o", "--store", "notes.txt"],
    )
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "notes.txt: is not a store of measures" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert not list(pytester.path.glob("notes.txt-*"))


def test_a_store_and_a_new_path_are_accepted(tmp_path: Path) -> None:
    """A store, also while another process has it open; an empty file; no file."""
    store = ProbeStore(tmp_path / "store", "clm", {})
    check_store(tmp_path / "store")
    store.close()
    check_store(tmp_path / "store")
    (tmp_path / "empty").touch()
    check_store(tmp_path / "empty")
    check_store(tmp_path / "none")
    (tmp_path / "store").write_bytes(b"x")
    with pytest.raises(BadInput, match="is not a store"):
        check_store(tmp_path / "store")
