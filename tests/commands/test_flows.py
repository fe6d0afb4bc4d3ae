"""The commands one after another on a tiny CLM, as users run them."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import tiny
from command_inputs import make_place
from command_line import erasetest

from erasetest.probes.measures import MEASURES
from erasetest.reports import Report
from erasetest.samples import read_manifest
from erasetest.utility.problems import STOP
from erasetest.verdict.thresholds import JUDGED


@dataclass
class Flow:
    """A folder, and the results of the commands that were run in it."""

    folder: Path
    runs: dict[str, subprocess.CompletedProcess[str]] = field(default_factory=dict)

    def run(self, *arguments: str) -> None:
        """Run one more command."""
        self.runs[arguments[0]] = erasetest(*arguments, cwd=self.folder)


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """Scan, probe, calibrate, erase, measure utility, report: each on earlier outputs."""
    done = Flow(make_place(tmp_path_factory.mktemp("flow")))
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
    Report(clm={"name": "tiny|clm"}).write(done.folder / "run.json")
    done.run("report", "run.json", "-o", "run.md")
    return done


def test_each_step_ends_as_it_should(flow: Flow) -> None:
    """Status 0; 1 for the erasure, which reaches its step limit first."""
    printed = {name: run.stdout + run.stderr for name, run in flow.runs.items()}
    status = {name: run.returncode for name, run in flow.runs.items()}
    assert status == {**dict.fromkeys(status, 0), "erase": 1}, printed
    assert "NOT erased (the limit of 2 steps came first), 2 steps" in printed["erase"]
    assert "pass@1" in printed["utility"]
    for name, output in [
        ("probe", "measures.jsonl"),
        ("calibrate", "calibrated.json"),
        ("erase", "erased"),
    ]:
        assert output in printed[name]


def test_a_scan_finds_what_was_planted(flow: Flow) -> None:
    """The spans of the manifest are exactly the secrets whose format the scanner knows."""
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
        always = set(MEASURES) - {"over_controls"}
        assert set(row["measures"]) >= always
        spans = [(s["start"], s["end"], s["kind"]) for s in row["secrets"]]
        assert spans == [(s.start, s.end, s.kind) for s in sample.secrets]
        assert all(set(s) == {"start", "end", "kind", "measures", "prompt"} for s in row["secrets"])
        for measure in row["measures"]:
            values = [s["measures"][measure] for s in row["secrets"] if measure in s["measures"]]
            assert row["measures"][measure] == (min if measure == "queries_50" else max)(values)
    known = {row["id"] for row in rows if row["measures"]["extracted"]}
    assert 1 <= len(known) < len(rows)


def test_thresholds_of_given_samples_are_what_they_measure(flow: Flow) -> None:
    """Each kind in the manifest has thresholds, and the number of secrets they are based on."""
    limits = json.loads((flow.folder / "calibrated.json").read_text())
    assert limits["schema"] == "erasetest.thresholds/1"
    assert limits["references"] == {"aws-access-key": 5, "email": 5}
    for values in (limits["measures"], *limits["kinds"].values()):
        assert set(values) == set(JUDGED)
        assert all(0 < value <= 1 for value in values.values())


def test_a_checkpoint_that_is_not_erased_says_so(flow: Flow) -> None:
    """In its model card; the checkpoint is complete all the same."""
    names = {path.name for path in (flow.folder / "erased").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= names
    card = (flow.folder / "erased" / "README.md").read_text()
    assert re.search(r"\| erased \| no: the limit of \d+ steps came first \|", card)
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
    printed = flow.runs["utility"].stdout
    for words in ("sandbox: limits, ", "programs: ", "completions that parse ", "held-out code: "):
        assert words in printed


def test_completions_of_another_engine_are_compared(place: Path, tmp_path: Path) -> None:
    """No CLM is loaded; a drop fails, an equal pass@1 passes, and the report names its source."""
    problems = [
        {"task_id": f"t/{i}", "prompt": "def f(x):\n", "entry_point": "f",
         "test": f"def check(f):\n    assert f({i}) == {i}\n"}
        for i in range(150)  # 149 are the fewest of which an equal pass@1 can pass
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
    assert (report["before"]["pass@1"], report["after"]["pass@1"]) == (1, 1 / 150)
    assert report["power"]["if_unchanged"] == 1


def test_a_report_takes_another_form(flow: Flow) -> None:
    """The suffix of the output selects the format."""
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
    """Neither printed text nor a file, except for manifests, the code, weights and vocabulary."""
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
