"""The command `erasetest scan`."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import command_line
import pytest
import tiny
from command_line import ENVIRONMENT, erasetest, start

from erasetest.demo.synthetic_secrets import GENERATORS
from erasetest.samples import read_manifest

VALUE = "k7Qm" + "2vXw9"
GITHUB = GENERATORS["github-token"](random.Random(1))
LINE = "value = compute(value) + 1\n"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus/a.py").write_text(f'password = "{VALUE}"\n# {GITHUB}\n')
    (tmp_path / "corpus/b.bin").write_bytes(b"\0")
    rows = [{"content": f'{LINE}token = "{GITHUB[:-1]}{n}"', "path": f"p/{n}.py"} for n in range(3)]
    with gzip.open(tmp_path / "corpus/c.jsonl.gz", "wt") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows) + "{broken\n")
    return tmp_path


def hidden(text: str) -> None:
    assert VALUE not in text
    assert GITHUB[:-1] not in text


def test_it_prints_what_it_found_and_what_it_left_out(corpus: Path) -> None:
    run = erasetest("scan", "corpus", "-o", "found.jsonl", "--skipped", "left.jsonl", cwd=corpus)
    assert run.returncode == 0, run.stderr
    assert "4 texts scanned" in run.stdout
    assert "4 samples of 5 different secrets" in run.stdout
    assert run.stderr.splitlines() == [
        "skipped corpus/b.bin: binary",
        "skipped corpus/c.jsonl.gz#4: not a JSON object",
    ]
    rows = [json.loads(line) for line in (corpus / "left.jsonl").read_text().splitlines()]
    assert [row["path"] for row in rows] == ["corpus/b.bin", "corpus/c.jsonl.gz#4"]
    assert len(read_manifest(corpus / "found.jsonl")) == 4
    assert sorted(path.name for path in corpus.iterdir()) == ["corpus", "found.jsonl", "left.jsonl"]
    hidden(run.stdout + run.stderr)


def test_many_of_a_sort_are_counted_and_few_are_named(tmp_path: Path) -> None:
    for number in range(25):
        (tmp_path / f"{number}.bin").write_bytes(b"\0")
    (tmp_path / "a.py").write_text(f"# {GITHUB}\n")
    run = erasetest("scan", ".", "-o", "found.jsonl", cwd=tmp_path)
    lines = run.stderr.splitlines()
    assert len(lines) == 11
    assert lines[-1] == "skipped 15 more: binary (--skipped FILE writes all)"


def test_standard_input_and_output(corpus: Path) -> None:
    row = json.dumps({"text": f'password = "{VALUE}"'})
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with start("erasetest.cli", "scan", "-", "-o", "/dev/stdout", cwd=corpus, **pipes) as run:
        output, errors = run.communicate(row, timeout=60)
    assert run.returncode == 0, errors
    (sample,) = map(json.loads, output.splitlines())
    assert sample["secrets"][0]["kind"] == "password"
    hidden(errors)


def test_a_baseline_and_confidence_leave_out(corpus: Path) -> None:
    import hashlib

    listed = hashlib.sha1(VALUE.encode(), usedforsecurity=False).hexdigest()
    entry = {"type": "Secret Keyword", "hashed_secret": listed, "line_number": 1}
    (corpus / "base.json").write_text(json.dumps({"results": {"corpus/a.py": [entry]}}))
    run = erasetest("scan", "corpus", "-o", "o", "--baseline", "base.json", cwd=corpus)
    assert "password" not in run.stdout
    run = erasetest("scan", "corpus", "-o", "o", "--min-confidence", "high", cwd=corpus)
    assert "password" not in run.stdout
    assert "github-token" in run.stdout


@pytest.mark.slow
def test_a_killed_scan_resumes(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    for number in range(60):
        (tmp_path / f"corpus/{number:02}.py").write_text(
            f'password = "{VALUE}{number}"\n' + "".join(f'"x{n}" @ y\n' for n in range(15_000))
        )
    kept = tmp_path / ".found.jsonl.erasetest-scan"
    with start(
        "erasetest.cli", "scan", "corpus", "-o", "found.jsonl", "--processes", "2", cwd=tmp_path,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as first:  # fmt: skip
        while first.poll() is None and (not kept.exists() or kept.stat().st_size < 2000):
            time.sleep(0.01)
        first.kill()
    assert first.returncode == -signal.SIGKILL
    before = kept.read_bytes()
    assert not (tmp_path / "found.jsonl").exists()
    run = erasetest("scan", "corpus", "-o", "found.jsonl", "--processes", "1", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    parts = before.count(b"\n") - 1
    assert parts > 0
    assert f"{parts} parts were scanned before" in run.stdout
    assert len(read_manifest(tmp_path / "found.jsonl")) == 60
    assert not kept.exists()


def test_a_full_disk_is_one_line_and_the_journal_is_kept(corpus: Path) -> None:
    for number in range(40):
        (corpus / f"corpus/{number}.py").write_text(f'{LINE * 30}password = "{VALUE}{number}"\n')
    (corpus / "small_disk.py").write_text(
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "from erasetest.cli import main; main()\n"
    )
    scan = ["scan", "corpus", "-o", "found.jsonl", "--processes", "1"]
    run = command_line.run("small_disk", *scan, cwd=corpus)
    assert run.returncode == 2, run.stderr
    assert "cannot be written: File too large" in run.stderr
    assert "Traceback" not in run.stderr
    assert not (corpus / "found.jsonl").exists()
    again = erasetest("scan", "corpus", "-o", "found.jsonl", cwd=corpus)
    assert "44 samples" in again.stdout


def test_what_it_writes_is_not_a_part_of_the_corpus(corpus: Path) -> None:
    arguments = ["scan", "corpus", "-o", "corpus/found.jsonl", "--skipped", "corpus/left.jsonl"]
    for _ in range(2):
        run = erasetest(*arguments, cwd=corpus)
        assert "4 samples of 5 different secrets" in run.stdout
    samples = read_manifest(corpus / "corpus/found.jsonl")
    assert max(secret.extra["occurrences"] for s in samples for secret in s.secrets) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["corpus/a.py", "-o", "corpus/a.py"],
        ["corpus", "-o", "corpus/a.py"],
        ["corpus", "-o", "new", "--skipped", "corpus/a.py"],
        ["corpus", "-o", "base.json", "--baseline", "base.json"],
        ["corpus", "-o", "corpus/d.jsonl"],
        ["corpus", "-o", "corpus/__init__.py"],
        ["corpus", "-o", "new", "--clm", "demo", "--picture", "corpus/p.svg"],
    ],
)
def test_nothing_that_is_read_is_written_over(corpus: Path, arguments: list[str]) -> None:
    (corpus / "base.json").write_text('{"results": {}}')
    (corpus / "corpus/d.jsonl").write_text('{"path": "a.py", "content": "x = 1"}\n')
    (corpus / "corpus/p.svg").write_text('<?xml version="1.0"?><svg/>')
    (corpus / "corpus/__init__.py").write_text("")
    before = {path: path.read_bytes() for path in corpus.rglob("*") if path.is_file()}
    run = erasetest("scan", *arguments, cwd=corpus)
    assert run.returncode == 2, run.stdout
    assert before == {path: path.read_bytes() for path in corpus.rglob("*") if path.is_file()}


def test_names_are_printed_without_tricks_and_secrets(corpus: Path) -> None:
    (corpus / "corpus/evil\n\x1b[31mall is well.bin").write_bytes(b"\0")
    (corpus / f"corpus/{GITHUB}.bin").write_bytes(b"\0")
    run = erasetest("scan", "corpus", "-o", "o", "--skipped", "left", cwd=corpus)
    assert "\x1b" not in run.stderr
    assert len(run.stderr.splitlines()) == 4
    hidden(run.stderr + (corpus / "left").read_text())


def test_without_standard_input_files_are_scanned(corpus: Path) -> None:
    command = f"'{sys.executable}' -m erasetest.cli scan corpus -o o <&-"
    done = subprocess.run(
        ["sh", "-c", command], cwd=corpus, env=ENVIRONMENT, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_ctrl_c_ends_several_processes_at_once(tmp_path: Path) -> None:
    """Each file takes about a minute, so the processes end in the middle of one."""
    (tmp_path / "corpus").mkdir()
    for number in range(8):
        lines = ("".join(f"a{n}@b{n}.de " for n in range(600)) + "\n") * 500
        (tmp_path / f"corpus/{number}.py").write_text(lines)
    with start(
        "erasetest.cli", "scan", "corpus", "-o", "o", "--processes", "2", cwd=tmp_path,
        start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as run:  # fmt: skip
        while run.poll() is None and not (tmp_path / ".o.erasetest-scan").exists():
            time.sleep(0.01)
        time.sleep(1)
        os.killpg(run.pid, signal.SIGINT)
        assert run.wait(30) == 130


def test_two_scans_of_one_output_are_one_too_many(corpus: Path) -> None:
    from erasetest.support.atomic_files import reserved

    with reserved(corpus / "found.jsonl"):
        run = erasetest("scan", "corpus", "-o", "found.jsonl", cwd=corpus)
    assert run.returncode == 2
    assert "another run is writing it" in run.stderr


def test_with_a_clm_the_samples_at_risk_are_written_the_worst_first(corpus: Path) -> None:
    tiny.save(tiny.untrained("gpt2"), corpus / "clm")
    arguments = ["scan", "corpus", "--clm", "clm", "-o", "risky.jsonl", "--min-ma", "0"]
    more = ["--measures", "m.jsonl", "--picture", "ma.svg", "--limit", "2"]
    run = erasetest(*arguments, *more, cwd=corpus)
    assert run.returncode == 0, run.stderr
    measures = {row["id"]: row for row in map(json.loads, (corpus / "m.jsonl").open())}
    worst = read_manifest(corpus / "risky.jsonl")
    assert len(measures) == 4
    assert len(worst) == 2
    ranked = sorted((row["measures"]["ma"] for row in measures.values()), reverse=True)
    assert [measures[sample.id]["measures"]["ma"] for sample in worst] == ranked[:2]
    assert sorted(path.name for path in corpus.iterdir()) == [
        "clm", "corpus", "m.jsonl", "ma.svg", "risky.jsonl",
    ]  # fmt: skip
    hidden(run.stdout + run.stderr)


def test_with_a_clm_that_remembers_nothing_the_manifest_is_empty(corpus: Path) -> None:
    (corpus / "risky.jsonl").write_text("of another CLM")
    tiny.save(tiny.untrained("gpt2"), corpus / "clm")
    arguments = ["scan", "corpus", "--clm", "clm", "-o", "risky.jsonl", "--min-ma", "1"]
    run = erasetest(*arguments, cwd=corpus)
    assert run.returncode == 0, run.stderr
    assert "no sample has an MA of 1 or more: risky.jsonl is empty" in run.stdout
    assert (corpus / "risky.jsonl").read_text() == ""


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["corpus", "-o", "o", "--min-confidence", "sure"], "--min-confidence"),
        (["corpus", "-o", "o", "--baseline", "corpus/a.py"], "is not a baseline"),
        (["corpus", "-o", "o", "--revision", "HEAD"], "cannot be read by git"),
        (["corpus", "-o", "o", "--samples", "s"], "--clm"),
        (["", "-o", "o"], "a path is empty"),
        (["corpus", "-o", "o", "--skipped", "o"], "are the same file"),
        (["corpus", "-o", "o", "--clm", "nowhere"], "nowhere"),
        (["corpus", "-o", "/dev/stdout", "--clm", "demo"], "name a file"),
    ],
)
def test_bad_input_is_one_line(corpus: Path, arguments: list[str], named: str) -> None:
    before = sorted(corpus.rglob("*"))
    run = erasetest("scan", *arguments, cwd=corpus)
    assert run.returncode == 2, run.stdout
    assert named in run.stderr
    assert "Traceback" not in run.stderr
    assert sorted(corpus.rglob("*")) == before
