"""Bad input of every command: one line, status 2, nothing lost."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
from command_line import erasetest, erasetest_here, first_of_each_command

from erasetest.reports import Report
from erasetest.samples import make_sample, read_manifest, write_manifest

ERASE = ["erase", "samples.jsonl", "--clm", "clm", "--thresholds", "limits.json"]

RETAIN = ["--retain", "retained.jsonl"]

BAD: dict[str, tuple[Sequence[str], str]] = {
    "lr below 0": ([*ERASE, *RETAIN, "--lr", "-1", "-o", "new"], "-1"),
    "no retained code": ([*ERASE, "--retain", "none.jsonl", "-o", "new"], "none.jsonl"),
    "no thresholds": (
        ["erase", "samples.jsonl", "--clm", "clm", *RETAIN, "--thresholds", "src", "-o", "new"],
        "src",
    ),
    "erase onto a file": (
        ["erase", "samples.jsonl", "--clm", "./nowhere", *RETAIN, "-o", "limits.json"],
        "limits.json",
    ),
    "probe onto a folder": (["probe", "none.jsonl", "--clm", "clm", "-o", "src"], "src"),
    "thresholds that nothing is above": (
        ["erase", "samples.jsonl", "--clm", "clm", *RETAIN, "--thresholds", "ones.json",
         "-o", "new"],
        "ones.json: the thresholds in 'measures' are 1",
    ),
    "a long id": (
        ["probe", "long.jsonl", "--clm", "clm", "-o", "new"],
        "'id' must be a string of 1 to 200 printable characters, got 500 characters",
    ),
    "neither a CLM nor completions": (["utility", "problems.jsonl", "-o", "new"], "--completions"),
    "two manifests for thresholds": (
        ["calibrate", "samples.jsonl", "--samples", "samples.jsonl", "--clm", "clm", "-o", "new"],
        "--samples",
    ),
    "empty manifest": (["probe", "empty.jsonl", "--clm", "clm", "-o", "new"], "empty.jsonl"),
    "bad line": (["probe", "bad.jsonl", "--clm", "clm", "-o", "new"], "bad.jsonl:2"),
    "unknown device": (
        ["probe", "samples.jsonl", "--clm", "clm", "--clm-device", "tpu", "-o", "new"], "'tpu'"
    ),
    "unknown demo": (["probe", "samples.jsonl", "--clm", "demo:bert", "-o", "new"], "'bert'"),
    "empty name of a CLM": (["probe", "samples.jsonl", "--clm", "", "-o", "new"], "''"),
    "no tokens": (
        ["probe", "samples.jsonl", "--clm", "clm", "--clm-batch-tokens", "0", "-o", "new"],
        "--clm-batch-tokens",
    ),
    "no samples": (
        ["utility", "problems.jsonl", "--clm", "clm", "--samples", "0", "-o", "new"], "--samples"
    ),
    "a share above 1": (
        ["utility", "problems.jsonl", "--clm", "clm", "--top-p", "2", "-o", "new"], "top_p must be"
    ),
    "two to compare with": (
        ["utility", "problems.jsonl", "--clm", "clm", "-o", "new", "--against", "clm",
         "--against-completions", "samples.jsonl"], "--against-completions",
    ),
    "held-out code of completions": (
        ["utility", "problems.jsonl", "--clm", "clm", "-o", "new", "--completions",
         "samples.jsonl", "--held-out", "samples.jsonl"], "--held-out",
    ),
    "completions of no problem": (
        ["utility", "problems.jsonl", "--clm", "clm", "-o", "new", "--completions",
         "samples.jsonl"], "samples.jsonl:1",
    ),
    "no such completions": (
        ["utility", "problems.jsonl", "--clm", "clm", "-o", "new", "--completions", "no.jsonl"],
        "no.jsonl",
    ),
    "no such command": (["erasure"], "erasure"),
    "no such option": (["scan", "src", "-o", "new", "--quick"], "--quick"),
    "report of the schema alone": (["report", "schema.json", "-o", "new.md"], "schema.json"),
    "report nested too deep": (["report", "deep.json", "-o", "new.md"], "deep.json"),
    "report of another suffix": (["report", "whole.json", "-o", "new.pdf"], "new.pdf"),
    "report into no folder": (["report", "whole.json", "-o", "none/new.md"], "none/new.md"),
    "no measures": (["curate", "none.jsonl", "-o", "new"], "none.jsonl"),
    "a share of tokens above 1": (
        ["curate", "samples.jsonl", "--min-ma", "2", "-o", "new"], "--min-ma"
    ),
    "no manifest": (["probe", "--clm", "clm", "no.jsonl", "-o", "o"], "no.jsonl"),
    "content that is a number": (
        ["probe", "--clm", "clm", "number.jsonl", "-o", "o"], "number.jsonl:1"
    ),
    "folder as output": (
        ["probe", "--clm", "clm", "samples.jsonl", "-o", "nothing"], "is a folder"
    ),
    "no folder": (["probe", "--clm", "clm", "samples.jsonl", "-o", "no/o"], "no/o"),
    "no such CLM": (["probe", "--clm", "./nowhere", "samples.jsonl", "-o", "o"], "nowhere"),
    "a CLM without config.json": (
        ["probe", "--clm", "nothing", "samples.jsonl", "-o", "o"], "nothing"
    ),
    "no CLM": (["probe", "samples.jsonl", "-o", "o"], "--clm"),
    "no family": (["demo", "-o", "d", "--family", "bert"], "bert"),
    "demo into a full folder": (["demo", "-o", "full"], "exists already"),
    "nothing to scan": (["scan", "nowhere", "-o", "o"], "nowhere"),
    "nothing found": (["scan", "nothing", "-o", "o"], "no secret found"),
    "erase into a full folder": (
        ["erase", "--clm", "clm", "samples.jsonl", "--retain", "retained.jsonl", "-o", "full"],
        "exists already",
    ),
    "no method": (
        ["erase", "--clm", "clm", "samples.jsonl", "--retain", "retained.jsonl", "-o", "e",
         "--method", "magic", "--thresholds", "limits.json"],
        "codeeraser",
    ),
    "one id, two samples": (
        ["erase", "--clm", "clm", "samples.jsonl", "--retain", "retained.jsonl", "-o", "e",
         "--earlier", "same-ids.jsonl"],
        "--earlier: sample planted-0 is another one",
    ),
    "no steps": (
        ["erase", "--clm", "clm", "samples.jsonl", "--retain", "retained.jsonl", "-o", "e",
         "--max-steps", "-1"],
        "--max-steps",
    ),
    "references where nothing is drawn": (
        ["calibrate", "--clm", "clm", "samples.jsonl", "--references", "9", "-o", "t.json"],
        "add --samples",
    ),
    "no report": (["report", "number.jsonl", "-o", "r.md"], "number.jsonl"),
    "no form": (["report", "number.jsonl", "-o", "r.doc"], "number.jsonl"),
    "no problems": (["utility", "--clm", "clm", "number.jsonl", "-o", "u.json"], "number.jsonl"),
    "thresholds of secrets that the CLM knows": (
        ["calibrate", "known.jsonl", "--clm", "clm", "-o", "new"],
        "known.jsonl: 5 of 8 secrets that were given as unseen are recited",
    ),
}  # fmt: skip

PROCESSES = first_of_each_command(BAD, 2)
"""Cases that run in a new process; the others call `main` in this one. With their help and the flow
of all commands, each command starts three times or more as users start it."""


@pytest.fixture(scope="module")
def broken(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The place, with inputs beside it that cannot be used."""
    folder = tmp_path_factory.mktemp("broken 'inputs'")
    for path in place.iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "empty.jsonl").write_text("\n")
    _, secret = tiny.SECRETS[0]
    row = {"content": f"k = {secret}", "secrets": [{"start": 4, "end": 99, "kind": "k"}]}
    good = {**row, "secrets": [{"start": 4, "end": 24, "kind": "k"}]}
    (folder / "bad.jsonl").write_text(f"{json.dumps(good)}\n{json.dumps(row)}\n")
    ones = {"schema": "erasetest.thresholds/1", "measures": {"ma": 1.0}}
    (folder / "ones.json").write_text(json.dumps(ones))
    (folder / "long.jsonl").write_text(json.dumps({**good, "id": "x" * 500}))
    known = [
        make_sample(s.content.reveal(), [(s.secrets[0].start, s.secrets[0].end, "k")], id=s.id)
        for s in tiny.PLANTED
    ]
    write_manifest(folder / "known.jsonl", known)
    write_manifest(folder / "same-ids.jsonl", [replace(tiny.PLANTED[1], id=tiny.PLANTED[0].id)])
    (folder / "number.jsonl").write_text('{"content": 7}\n')
    (folder / "nothing").mkdir()
    (folder / "full").mkdir()
    (folder / "full" / "a.txt").touch()
    (folder / "schema.json").write_text('{"schema": "erasetest.leakage-report/1"}')
    (folder / "deep.json").write_text("[" * 100_000)
    Report(clm={"name": "tiny"}).write(folder / "whole.json")
    return folder


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_status_2(
    case: str, broken: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It names what was given, contains no secret, and no file is left behind."""
    arguments, named = BAD[case]
    before = sorted(broken.rglob("*"))
    if case in PROCESSES:
        run = erasetest(*arguments, cwd=broken)
    else:
        run = erasetest_here(capfd, *arguments, cwd=broken)
    after = sorted(broken.rglob("*"))
    assert run.returncode == 2, run.stderr
    assert run.stderr.startswith("erasetest: ")
    assert len(run.stderr.splitlines()) == 1
    assert named in run.stderr
    # A scan that finds nothing prints what it scanned.
    assert (run.stdout == "") == (case != "nothing found")
    assert tiny.SECRETS[0][1] not in run.stderr
    assert after == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only_is_refused(place: Path, tmp_path: Path) -> None:
    """It is refused before the CLM is loaded."""
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    if os.access(locked, os.W_OK):
        pytest.skip("this file system lets everyone write")
    for arguments in (
        ["probe", "samples.jsonl", "--clm", "nowhere"],
        ["erase", "samples.jsonl", "--clm", "nowhere", *RETAIN],
    ):
        run = erasetest(*arguments, "-o", str(locked / "new"), cwd=place)
        assert run.returncode == 2
        assert str(locked) in run.stderr
        assert len(run.stderr.splitlines()) == 1


def test_an_output_outlives_a_failure(place: Path, tmp_path: Path) -> None:
    """A run that fails keeps the earlier file; one that succeeds replaces it."""
    output = tmp_path / "found.jsonl"
    output.write_text("older")
    (tmp_path / "nothing").mkdir()
    run = erasetest("scan", str(tmp_path / "nothing"), "-o", str(output), cwd=place)
    assert (run.returncode, output.read_text()) == (2, "older")
    run = erasetest("scan", "src", "-o", str(output), cwd=place)
    assert run.returncode == 0
    assert len(read_manifest(output)) > 0


def test_an_output_that_is_no_file_is_not_replaced(place: Path, tmp_path: Path) -> None:
    """A device or pipe is written to or refused, and never replaced by a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        run = erasetest("scan", "src", "-o", str(pipe), cwd=place)
    finally:
        os.close(reader)
    assert run.returncode in (0, 2)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
