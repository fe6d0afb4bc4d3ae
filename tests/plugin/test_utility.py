"""The gate compares utility."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny
from gate_runs import SUITES, run_pytest

from erasetest.samples import write_manifest
from erasetest.utility.sandbox import sandbox_layers

PROBLEM = {
    "task_id": "t/1",
    "prompt": "def options():\n",
    "entry_point": "options",
    # The body that the tiny CLMs recite uses a name that is nowhere defined.
    "test": (
        "def check(f):\n    try:\n        f()\n    except NameError:\n        return\n    1 / 0\n"
    ),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLM that solves a problem, one that does not, and the problems."""
    folder = tmp_path_factory.mktemp("gate")
    tiny.save(tiny.reciting("gpt2"), folder / "clm")
    tiny.save(tiny.untrained("gpt2"), folder / "untrained")
    # A drop of all is a failure with this many too.
    rows = [{**PROBLEM, "task_id": f"t/{i}"} for i in range(20)]
    (folder / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_manifest(folder / "samples.jsonl", [tiny.PLANTED[0]])
    (folder / "few.py").write_text(
        "import erasetest.utility.sandbox.pool as pool\npool.sandbox_layers = lambda: ('limits',)\n"
    )
    return folder


def test_a_drop_fails_the_gate_and_is_reported_in_full(place: Path) -> None:
    """Verdict, both kinds of bounds, power, texts, time-outs and layers, in report and summary."""
    done = run_pytest(
        str(SUITES), "--clm=untrained", "--leak-samples=samples.jsonl", "--utility=p.jsonl",
        "--utility-samples=2", "--utility-against=clm", "--leak-report=r.json",
        "--leak-report=r.md", cwd=place,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    utility = json.loads((place / "r.json").read_text())["utility"]
    assert utility["verdict"] == "fail"
    assert utility["before"]["pass@1"] == utility["before"]["greedy_pass@1"] == 1
    assert utility["after"]["pass@1"] == 0
    delta = utility["delta"]["pass@1"]
    assert delta["lower_95"] <= min(delta["by_t"][0], delta["by_bootstrap"][0])
    assert utility["sandbox"] == list(sandbox_layers())
    for text in (done.stdout, (place / "r.md").read_text()):
        for words in (
            "greedy pass@1 1.0000 -> 0.0000", "completions that parse ", "repeated word 4-grams ",
            "timeouts 0 -> ", "power: ", "sandbox: limits, ",
        ):  # fmt: skip
            assert words in text


@pytest.mark.parametrize("allowed", [False, True])
def test_the_sandbox_is_checked_before_the_work(
    place: Path, monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    """Too few layers are status 4 at the start, not a failure after hours; or they are allowed."""
    monkeypatch.setenv("PYTHONPATH", str(place))
    done = run_pytest(
        str(SUITES), "-p", "few", "--clm=clm", "--leak-samples=samples.jsonl", "--utility=p.jsonl",
        "--utility-samples=1", "--utility-against=clm", "--leak-report=few.json",
        *["--utility-unsafe-execution"] * allowed, cwd=place,
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert ("--utility-unsafe-execution" in output) is not allowed
    assert (place / "few.json").exists() is allowed
    if not allowed:
        assert done.returncode == 4
