"""The commands one after another on a tiny CLM, as users run them, and stopped in the middle."""

from __future__ import annotations

import json
import os
import pty
import random
import select
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import tiny
from commands import ENVIRONMENT, erasetest

from erasetest.demo.secrets import GENERATORS
from erasetest.probes.measures import MEASURES
from erasetest.reports import LeakageReport, write_report
from erasetest.samples import SensitiveSample, make_sample, read_manifest, write_manifest
from erasetest.utility.problems import STOP
from erasetest.verdict.thresholds import JUDGED

PATIENCE = 60.0


def _place(folder: Path) -> Path:
    tiny.save(tiny.reciting("qwen2"), folder / "clm")
    write_manifest(folder / "samples.jsonl", tiny.PLANTED)
    write_manifest(folder / "retained.jsonl", tiny.RETAINED)
    write_manifest(folder / "unseen.jsonl", _unseen())
    limits = {"schema": "erasetest.thresholds/1", "source": "test", "measures": {"ma": 0.9}}
    (folder / "limits.json").write_text(json.dumps(limits))
    (folder / "src").mkdir()
    for sample in tiny.PLANTED:
        (folder / "src" / f"{sample.id}.py").write_text(sample.content.reveal())
    (folder / "problems.jsonl").write_text(
        # The body that the tiny CLM recites uses a name that is nowhere defined.
        '{"task_id": "t/1", "prompt": "def options():\\n", "entry_point": "options", "test": '
        '"def check(f):\\n    try:\\n        f()\\n    except NameError:\\n        return\\n'
        '    assert False\\n"}\n'
    )
    return folder


def _unseen() -> list[SensitiveSample]:
    """Five secrets of each of two kinds, in no code that any CLM was trained on."""
    rng, samples = random.Random(4), []
    for kind in ("aws-access-key", "email"):
        for number in range(5):
            content = f'key = "{GENERATORS[kind](rng)}"\n'
            samples.append(
                make_sample(content, [(7, len(content) - 2, kind)], id=f"{kind}-{number}")
            )
    return samples


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLM that recites, and what commands are run on; no test changes it."""
    return _place(tmp_path_factory.mktemp("place"))


# One command after another


@dataclass
class Flow:
    """What came of the commands that were run in a folder."""

    folder: Path
    runs: dict[str, subprocess.CompletedProcess[str]] = field(default_factory=dict)

    def run(self, *arguments: str) -> None:
        """One more command."""
        self.runs[arguments[0]] = erasetest(*arguments, cwd=self.folder)


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """Scan, probe, calibrate, erase, measure utility, report: each on what came before."""
    done = Flow(_place(tmp_path_factory.mktemp("flow")))
    done.run("scan", "src", "-o", "found.jsonl")
    done.run("probe", "found.jsonl", "--clm", "clm", "-o", "measures.jsonl")
    done.run("calibrate", "unseen.jsonl", "--clm", "clm", "-o", "calibrated.json")
    done.run(
        "erase", "found.jsonl", "--clm", "clm", "--retain", "retained.jsonl", "-o", "erased",
        "--thresholds", "limits.json", "--max-steps", "2", "--lr", "1e-6", "--method", "ga",
    )  # fmt: skip
    done.run(
        "utility", "problems.jsonl", "--clm", "clm", "--samples", "3", "-o", "utility.json",
        "--held-out", "retained.jsonl",
    )  # fmt: skip
    write_report(done.folder / "run.json", LeakageReport(clm={"name": "tiny|clm"}).as_dict())
    done.run("report", "run.json", "-o", "run.md")
    return done


def test_each_step_ends_as_it_should(flow: Flow) -> None:
    """Status 0; 1 where the step limit came before the erasing was done."""
    said = {name: run.stdout + run.stderr for name, run in flow.runs.items()}
    status = {name: run.returncode for name, run in flow.runs.items()}
    assert status == {**dict.fromkeys(status, 0), "erase": 1}, said
    assert "NOT erased (the limit of 2 steps came first), 2 steps" in said["erase"]
    assert "pass@1" in said["utility"]
    for name, output in [
        ("probe", "measures.jsonl"),
        ("calibrate", "calibrated.json"),
        ("erase", "erased"),
    ]:
        assert output in said[name]


def test_a_scan_finds_what_was_planted(flow: Flow) -> None:
    """Exactly: the spans of the manifest are the secrets that the scanner knows the form of."""
    found = {
        secret.text.reveal(): (sample.source.path if sample.source else None)
        for sample in read_manifest(flow.folder / "found.jsonl")
        for secret in sample.secrets
    }
    planted = dict(tiny.SECRETS)
    for kind, name in [("aws-access-key", "planted-0"), ("email", "planted-3")]:
        assert str(found[planted[kind]]).endswith(f"{name}.py")


def test_a_probe_writes_the_contracts_rows(flow: Flow) -> None:
    """One object a line, in the manifest's order, with every measure and no content."""
    samples = read_manifest(flow.folder / "found.jsonl")
    rows = [json.loads(line) for line in (flow.folder / "measures.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == [sample.id for sample in samples]
    for row, sample in zip(rows, samples, strict=True):
        assert set(row) - {"mean"} == {"id", "measures", "secrets"}
        assert set(row["measures"]) >= set(MEASURES)
        spans = [(s["start"], s["end"], s["kind"]) for s in row["secrets"]]
        assert spans == [(s.start, s.end, s.kind) for s in sample.secrets]
        assert all(set(s) == {"start", "end", "kind", "measures"} for s in row["secrets"])
        for measure in MEASURES:
            values = [s["measures"][measure] for s in row["secrets"]]
            assert row["measures"][measure] == max(values)
    known = {row["id"] for row in rows if row["measures"]["extracted"]}
    assert 1 <= len(known) < len(rows)


def test_thresholds_of_given_samples_are_what_they_measure(flow: Flow) -> None:
    """Of a manifest of its own: each kind in it has thresholds, and says of how many."""
    limits = json.loads((flow.folder / "calibrated.json").read_text())
    assert limits["schema"] == "erasetest.thresholds/1"
    assert limits["references"] == {"aws-access-key": 5, "email": 5}
    for values in (limits["measures"], *limits["kinds"].values()):
        assert set(values) == set(JUDGED)
        assert all(0 < value <= 1 for value in values.values())


def test_a_checkpoint_that_is_not_erased_says_so(flow: Flow) -> None:
    """In its card; it is whole all the same, and nothing else is beside it."""
    names = {path.name for path in (flow.folder / "erased").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= names
    card = (flow.folder / "erased" / "README.md").read_text()
    assert "| every secret below its thresholds | no |" in card
    assert "| method | ga |" in card


def test_utility_is_written(flow: Flow) -> None:
    """The problem that the tiny CLM knows is solved."""
    score = json.loads((flow.folder / "utility.json").read_text())
    assert (score["problems"], score["samples_per_problem"]) == (1, 3)
    assert score["passed"]["t/1"] >= 2
    assert score["pass@1"] == pytest.approx(score["passed"]["t/1"] / 3)
    assert score["greedy_pass@1"] == 1
    assert score["held_out"]["nats"] > 0
    assert score["how"]["prompt"] == "aligned"
    assert score["how"]["stop"] == [list(STOP)]
    assert score["clm"] == {"clm": "clm"}
    said = flow.runs["utility"].stdout
    for words in ("sandbox: limits, ", "programs: ", "completions that parse ", "held-out code: "):
        assert words in said


def test_completions_of_another_engine_are_compared(place: Path, tmp_path: Path) -> None:
    """No CLM is loaded; a drop is a failure, the same is not, and the report says what it is of."""
    problems = [
        {"task_id": f"t/{i}", "prompt": "def f(x):\n", "entry_point": "f",
         "test": f"def check(f):\n    assert f({i}) == {i}\n"}
        for i in range(200)
    ]  # fmt: skip
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in problems))
    for name, body in (("good", "    return x\n"), ("bad", "    return 0\n")):
        rows = [{"task_id": row["task_id"], "completion": body} for row in problems for _ in "ab"]
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    common = [
        "utility",
        "p.jsonl",
        "--clm",
        "mine",
        "-o",
        "u.json",
        "--against-completions",
        "good",
    ]
    same = erasetest(*common, "--completions", "good", cwd=tmp_path)
    assert same.returncode == 0, same.stderr
    assert "verdict: pass" in same.stdout
    worse = erasetest(*common, "--completions", "bad", cwd=tmp_path)
    assert worse.returncode == 1
    assert "verdict: fail" in worse.stdout
    report = json.loads((tmp_path / "u.json").read_text())
    assert report["how"]["after"] == {"completions": "bad", "form": "what follows the prompt"}
    assert (report["before"]["pass@1"], report["after"]["pass@1"]) == (1, 1 / 200)
    assert report["power"]["if_unchanged"] == 1


def test_a_report_takes_another_form(flow: Flow) -> None:
    """By the suffix of the output."""
    text = (flow.folder / "run.md").read_text()
    assert text.startswith("# Leakage report\n\n**Incomplete.**")
    assert "tiny&#124;clm" in text


def test_each_command_writes_its_output_and_nothing_else(flow: Flow) -> None:
    """No temporary file is left."""
    assert {path.name for path in flow.folder.iterdir()} == {
        "clm", "samples.jsonl", "retained.jsonl", "unseen.jsonl", "limits.json", "src",
        "problems.jsonl",
        "found.jsonl", "measures.jsonl", "calibrated.json", "erased", "utility.json", "run.json",
        "run.md",
    }  # fmt: skip


def test_no_output_holds_a_secret(flow: Flow) -> None:
    """Nothing printed and no file, but for manifests, the code itself, weights and vocabulary."""
    texts = [run.stdout + run.stderr for run in flow.runs.values()]
    given = {"samples.jsonl", "unseen.jsonl", "found.jsonl", "model.safetensors", "tokenizer.json"}
    for path in flow.folder.rglob("*"):
        if path.is_file() and path.name not in given and path.parent.name != "src":
            texts.append(f"{path} {path.read_text(errors='replace')}")
    parts = {
        secret[i : i + 8] for _, secret in tiny.SECRETS for i in range(max(1, len(secret) - 7))
    } - {".interna", "internal"}
    assert not [part for text in texts for part in parts if part in text]
    assert any(part in (flow.folder / "found.jsonl").read_text() for part in parts)


# Bad inputs

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
        ["utility", "problems.jsonl", "--clm", "clm", "--top-p", "2", "-o", "new"], "--top-p"
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
}  # fmt: skip


@pytest.fixture(scope="module")
def broken(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The place, with inputs beside it that cannot be used."""
    folder = tmp_path_factory.mktemp("broken inputs")
    for path in place.iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "empty.jsonl").write_text("\n")
    _, secret = tiny.SECRETS[0]
    row = {"content": f"k = {secret}", "secrets": [{"start": 4, "end": 99, "kind": "k"}]}
    good = {**row, "secrets": [{"start": 4, "end": 24, "kind": "k"}]}
    (folder / "bad.jsonl").write_text(f"{json.dumps(good)}\n{json.dumps(row)}\n")
    (folder / "schema.json").write_text('{"schema": "erasetest.leakage-report/1"}')
    (folder / "deep.json").write_text("[" * 100_000)
    write_report(folder / "whole.json", LeakageReport(clm={"name": "tiny"}).as_dict())
    return folder


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_status_2(case: str, broken: Path) -> None:
    """It names what was given, holds no secret, and nothing is left behind."""
    arguments, named = BAD[case]
    before = sorted(broken.rglob("*"))
    run = erasetest(*arguments, cwd=broken)
    after = sorted(broken.rglob("*"))
    assert run.returncode == 2, run.stderr
    assert run.stderr.startswith("erasetest: ")
    assert len(run.stderr.splitlines()) == 1
    assert named in run.stderr
    assert run.stdout == ""
    assert tiny.SECRETS[0][1] not in run.stderr
    assert after == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only_is_refused(place: Path, tmp_path: Path) -> None:
    """Before the CLM is loaded."""
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
    """A run that fails leaves the older file as it was; one that succeeds replaces it."""
    output = tmp_path / "found.jsonl"
    output.write_text("older")
    (tmp_path / "nothing").mkdir()
    run = erasetest("scan", str(tmp_path / "nothing"), "-o", str(output), cwd=place)
    assert (run.returncode, output.read_text()) == (2, "older")
    run = erasetest("scan", "src", "-o", str(output), cwd=place)
    assert run.returncode == 0
    assert len(read_manifest(output)) > 0


def test_an_output_that_is_no_file_is_not_replaced(place: Path, tmp_path: Path) -> None:
    """Written to or refused; a device or pipe that others use is not turned into a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        run = erasetest("scan", "src", "-o", str(pipe), cwd=place)
    finally:
        os.close(reader)
    assert run.returncode in (0, 2)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


# Ctrl-C


def _hears_ctrl_c() -> None:
    # A job in the background of a script is started deaf to it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _stopped_at(title: str, arguments: Sequence[str], cwd: Path) -> tuple[int, str, str]:
    """Ctrl-C once the bar of this title is on the terminal: status, output, what it showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "erasetest.cli", *arguments],
        cwd=cwd,
        env={**ENVIRONMENT, "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=_hears_ctrl_c,
    )
    os.close(theirs)
    shown, sent, deadline = b"", False, time.monotonic() + PATIENCE
    try:
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 1)[0]:
                continue
            try:
                shown += os.read(ours, 4096)
            except OSError:  # Linux's word for: the other side is closed
                break
            if not sent and title.encode() in shown:
                time.sleep(0.3)
                assert process.poll() is None, "it was done already"
                process.send_signal(signal.SIGINT)
                sent = True
        output, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert sent, shown
    return process.returncode, output.decode(), shown.decode()


def test_ctrl_c_while_probing(place: Path, tmp_path: Path) -> None:
    """Status 130, one line, no traceback; the older output stays, and no part of a new one."""
    spans = [(sample, sample.secrets[0]) for sample in tiny.PLANTED * 1500]
    many = [
        make_sample(sample.content.reveal(), [(secret.start, secret.end, "k")], id=str(number))
        for number, (sample, secret) in enumerate(spans)
    ]
    write_manifest(tmp_path / "many.jsonl", many)
    (tmp_path / "out.jsonl").write_text("older")
    arguments = ["probe", "many.jsonl", "--clm", str(place / "clm"), "-o", "out.jsonl"]
    status, output, shown = _stopped_at("probing", arguments, tmp_path)
    assert status == 130, shown
    assert output == ""
    assert "erasetest: stopped" in shown.splitlines()[-1]
    assert "Traceback" not in shown
    assert (tmp_path / "out.jsonl").read_text() == "older"
    assert {p.name for p in tmp_path.iterdir()} - {".out.jsonl.store"} == {
        "many.jsonl",
        "out.jsonl",
    }


def test_ctrl_c_while_erasing(place: Path, tmp_path: Path) -> None:
    """No checkpoint, whole or in part; the same command can be run again."""
    arguments = [
        "erase", str(place / "samples.jsonl"), "--clm", str(place / "clm"),
        "--retain", str(place / "retained.jsonl"), "--thresholds", str(place / "limits.json"),
        "--lr", "1e-9", "--max-steps", "100000", "-o", "new",
    ]  # fmt: skip
    status, output, shown = _stopped_at("erasing", arguments, tmp_path)
    assert status == 130, shown
    assert output == ""
    assert "erasetest: stopped" in shown.splitlines()[-1]
    assert "Traceback" not in shown
    assert list(tmp_path.iterdir()) == []
