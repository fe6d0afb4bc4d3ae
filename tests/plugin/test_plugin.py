"""The plugin as users run it: real runs of the suites on tiny real checkpoints."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import tiny
from gate_runs import everything, gate, leaked_parts, run_pytest

from erasetest.samples import make_sample, write_manifest


@pytest.fixture(scope="module")
def erased(leaking: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """One run with all features: its working folder, and its result."""
    cwd = tmp_path_factory.mktemp("erased")
    run = gate(
        leaking,
        "--erase",
        f"--erase-out={cwd / 'out'}",
        f"--erase-retain={leaking / 'retained.jsonl'}",
        f"--leak-report={cwd / 'report.json'}",
        f"--leak-report={cwd / 'report.md'}",
        f"--junitxml={cwd / 'junit.xml'}",
        f"--debug={cwd / 'debug.log'}",
        "-vv",
        "-l",
        "--fulltrace",
        cwd=cwd,
    )
    return cwd, run


def test_erasing_ends_with_status_7(erased: tuple[Path, Any]) -> None:
    """A leaking CLM whose erased checkpoint passes every test: 7, and the report says why."""
    cwd, run = erased
    assert run.returncode == 7, run.stdout[-3000:]
    report = json.loads((cwd / "report.json").read_text())
    assert report["schema"] == "erasetest.leakage-report/1"
    assert report["verdict"] == "erased"
    assert list(report)[:6] == ["schema", "verdict", "clm", "thresholds", "samples", "erasure"]
    before = {row["id"]: row["verdict"] for row in report["samples"]}
    assert set(before.values()) == {"leak", "pass"}
    assert {row["after"]["verdict"] for row in report["samples"]} == {"pass"}
    assert report["erasure"]["samples"] == list(before.values()).count("leak")
    assert report["erasure"]["steps"] == len(report["erasure"]["history"])
    assert (cwd / "report.md").read_text().startswith("# Leakage report")
    assert "worst MA after" in run.stdout
    assert 0 <= report["erasure"]["rank"] <= 1
    assert ("stand out among decoys" in run.stdout) is report["erasure"]["stands_out"]


def test_nothing_written_or_printed_holds_a_secret(erased: tuple[Path, Any]) -> None:
    """Terminal at -vv -l --fulltrace, JUnit, JSON, Markdown, debug log, .pytest_cache, card."""
    cwd, run = erased
    text = everything(cwd, run)
    assert "planted-0" in text
    assert leaked_parts(text) == []
    assert leaked_parts(tiny.SECRETS[0][1]) != []


def test_the_erased_checkpoint_is_clean(leaking: Path, erased: tuple[Path, Any]) -> None:
    """A gate on the checkpoint in --erase-out exits 0."""
    cwd, _ = erased
    run = gate(leaking, f"--clm={cwd / 'out'}", cwd=cwd)
    assert run.returncode == 0, run.stdout[-3000:]


def test_a_leaking_clm_fails(leaking: Path, tmp_path: Path) -> None:
    """Without --erase a leak is status 1, in a test of each kind, and nothing is erased."""
    run = gate(leaking, f"--leak-report={tmp_path / 'r.json'}", cwd=tmp_path)
    assert run.returncode == 1
    assert "test_secret_is_not_extractable[planted-0]" in run.stdout
    assert "planted-0 leaks: secret 1 of 1 (aws-access-key): greedy" in run.stdout
    assert "deselected" in run.stdout
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["verdict"] == "leaks"
    assert report["erasure"] is None


@pytest.mark.slow
def test_two_workers_get_the_same_results(
    leaking: Path, erased: tuple[Path, Any], tmp_path: Path
) -> None:
    """`-n 2`: the same status, verdicts and measures; one erasure."""
    run = gate(
        leaking,
        "--erase",
        f"--erase-out={tmp_path / 'out'}",
        f"--erase-retain={leaking / 'retained.jsonl'}",
        f"--leak-report={tmp_path / 'r.json'}",
        "-n2",
        cwd=tmp_path,
    )
    assert run.returncode == 7, run.stdout[-3000:]
    alone = json.loads((erased[0] / "report.json").read_text())
    both = json.loads((tmp_path / "r.json").read_text())
    assert both["samples"] == alone["samples"]
    assert both["erasure"]["history"] == alone["erasure"]["history"]
    assert leaked_parts(everything(tmp_path, run)) == []


def test_samples_without_a_test_are_not_clean(leaking: Path, tmp_path: Path) -> None:
    """Only samples that pass are selected: status 1, because the others got no verdict."""
    run = gate(leaking, "-k", "planted-7", cwd=tmp_path)
    assert "passed" in run.stdout
    assert "failed" not in run.stdout
    assert run.returncode == 1
    assert "7 of 8 samples got no verdict" in run.stdout


def test_a_secret_past_the_window_is_inconclusive(leaking: Path, tmp_path: Path) -> None:
    """It can neither be probed nor pass."""
    long = "".join(chr(33 + (7 * i) % 90) for i in range(600))
    sample = make_sample(f"k = {long}\n", [(4, 604, "blob")], id="long")
    write_manifest(tmp_path / "long.jsonl", [sample])
    run = gate(leaking, f"--leak-samples={tmp_path / 'long.jsonl'}", cwd=tmp_path)
    assert run.returncode == 1
    assert "long is inconclusive" in run.stdout
    assert long[:8] not in run.stdout


def test_own_tests_with_the_fixtures(leaking: Path, tmp_path: Path) -> None:
    """Users' tests get the same fixtures, and their failures show no secret."""
    (tmp_path / "test_mine.py").write_text(
        "import logging\n"
        "def test_mine(sensitive_sample, leak):\n"
        "    text = sensitive_sample.content.reveal()\n"
        "    logging.warning('read %s', text)\n"
        "    print(text)\n"
        "    assert 'NOT THERE' in text\n"
        "def test_model(clm):\n"
        "    assert clm.family == 'qwen2'\n"
    )
    run = run_pytest(
        str(tmp_path / "test_mine.py"),
        f"--clm={leaking / 'clm'}",
        f"--leak-samples={leaking / 'samples.jsonl'}",
        f"--leak-thresholds={leaking / 'thresholds.json'}",
        "-vv",
        "-l",
        "--fulltrace",
        f"--junitxml={tmp_path / 'junit.xml'}",
        "-ojunit_logging=all",
        cwd=tmp_path,
    )
    assert run.returncode == 1
    assert "8 failed, 1 passed" in run.stdout
    assert "[masked]" in run.stdout
    assert leaked_parts(everything(tmp_path, run)) == []


def test_no_green_run_without_verdicts(leaking: Path, tmp_path: Path) -> None:
    """Samples are given, and no test asks for their verdicts: status 1, with the reason."""
    (tmp_path / "test_mine.py").write_text("def test_model(clm):\n    assert clm.family\n")
    run = run_pytest(
        str(tmp_path / "test_mine.py"),
        f"--clm={leaking / 'clm'}",
        f"--leak-samples={leaking / 'samples.jsonl'}",
        f"--leak-report={tmp_path / 'r.json'}",
        cwd=tmp_path,
    )
    assert run.returncode == 1
    assert json.loads((tmp_path / "r.json").read_text())["verdict"] == "incomplete"


def test_own_tests_of_leaks_do_not_prevent_status_7(leaking: Path, tmp_path: Path) -> None:
    """A user's test that fails for a leaking sample counts as a leak, as those of the suites."""
    (tmp_path / "test_mine.py").write_text(
        "def test_mine(leak):\n    assert leak.measures['ma'] <= 0.9\n"
    )
    run = gate(
        leaking,
        str(tmp_path / "test_mine.py"),
        "--erase",
        f"--erase-retain={leaking / 'retained.jsonl'}",
        cwd=tmp_path,
    )
    assert run.returncode == 7, run.stdout[-2000:]
    assert (tmp_path / "erased" / "config.json").is_file()


@pytest.mark.slow
def test_a_worker_that_dies_fails_the_gate(leaking: Path, tmp_path: Path) -> None:
    """kill -9 of a worker in a test of a clean manifest: its verdict is lost, so status 1."""
    clean = tmp_path / "clean.jsonl"
    write_manifest(clean, [tiny.PLANTED[-1], tiny.PLANTED[-2]])
    marker = tmp_path / "killed"
    (tmp_path / "killer.py").write_text(
        "import os, pathlib, signal, pytest\n"
        "@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_runtest_call(item):\n"
        f"    marker = pathlib.Path({str(marker)!r})\n"
        "    if 'PYTEST_XDIST_WORKER' in os.environ and not marker.exists():\n"
        "        marker.touch()\n"
        f"        os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
    )
    run = gate(
        leaking,
        f"--leak-samples={clean}",
        "-n2",
        "-p",
        "killer",
        f"--leak-report={tmp_path / 'r.json'}",
        cwd=tmp_path,
        PYTHONPATH=str(tmp_path),
    )
    assert marker.exists()
    assert run.returncode == 1, run.stdout[-2000:]
    assert "died" in run.stdout or "crashed" in run.stdout


def test_accepted_leaks_fail_nothing_until_they_expire(leaking: Path, tmp_path: Path) -> None:
    """--leak-accept writes ids and dates; with the file the same gate exits 0; past the date, 1."""
    baseline = tmp_path / "baseline.json"
    option = f"--leak-baseline={baseline}"
    assert gate(leaking, option, "--leak-accept", cwd=tmp_path).returncode == 1
    document = json.loads(baseline.read_text())
    assert leaked_parts(baseline.read_text()) == []
    report = tmp_path / "accepted.md"
    assert {row["id"] for row in document["accepted"]} >= {"planted-0"}
    run = gate(leaking, option, f"--leak-report={report}", cwd=tmp_path)
    assert run.returncode == 0, run.stdout[-2000:]
    assert "skipped" in run.stdout
    count = len(document["accepted"])
    assert f": clean, {count} accepted leaks until {document['accepted'][0]['expires']}" in (
        run.stdout
    )
    assert f"**Clean except for {count} accepted leaks.**" in report.read_text()
    assert "accepted until" in report.read_text()
    baseline.write_text(json.dumps({**document, "accepted": 5}))
    run = gate(leaking, option, cwd=tmp_path)
    assert run.returncode == 4
    assert "'accepted' must be a list" in run.stdout + run.stderr
    for row in document["accepted"]:
        row["expires"] = "2020-01-01"
    baseline.write_text(json.dumps(document))
    assert gate(leaking, option, cwd=tmp_path).returncode == 1


def test_the_plugin_is_silent_and_light_where_it_is_not_used(tmp_path: Path) -> None:
    """A run without its options does not mention it, and imports no large package."""
    (tmp_path / "test_other.py").write_text(
        "import sys\n"
        "def test_light():\n"
        "    assert 'pytest_erasetest.plugin' in sys.modules\n"
        "    large = {'torch', 'transformers', 'detect_secrets', 'numpy', 'rich'}\n"
        "    assert not large & set(sys.modules)\n"
    )
    run = run_pytest("test_other.py", cwd=tmp_path, cold=True)
    assert run.returncode == 0, run.stdout
    assert "erasetest:" not in run.stdout


OWN_NAMES = {
    "a fixture of their own": (
        "import pytest\n"
        "@pytest.fixture\ndef utility(): return 3\n"
        "@pytest.fixture\ndef sensitive_sample(): return 4\n"
        "def test_a(utility, sensitive_sample): assert utility + sensitive_sample == 7\n"
    ),
    "parameters of their own": (
        "import pytest\n"
        "@pytest.mark.parametrize('clm', [1, 2])\ndef test_a(clm): pass\n"
        "@pytest.mark.parametrize('x, sensitive_sample', [(1, 2)])\n"
        "def test_b(x, sensitive_sample): pass\n"
        "@pytest.mark.parametrize(('leak', 'y'), [(1, 2)])\ndef test_c(leak, y): pass\n"
    ),
    "a mark of their own": "import pytest\n@pytest.mark.utility\ndef test_a(): pass\n",
}


@pytest.mark.parametrize("active", [False, True])
@pytest.mark.parametrize("case", OWN_NAMES)
def test_names_that_other_tests_use_are_theirs(
    leaking: Path, tmp_path: Path, case: str, active: bool
) -> None:
    """The plugin is active in all projects of its users; `clm` and `leak` are common words."""
    (tmp_path / "test_theirs.py").write_text(OWN_NAMES[case])
    arguments = [f"--clm={leaking / 'clm'}"] if active else []
    run = run_pytest("test_theirs.py", *arguments, cwd=tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "passed" in run.stdout
    assert "deselected" not in run.stdout


def test_a_demo_run_without_a_verdict_is_not_green(tmp_path: Path) -> None:
    """The demo has samples, and no test asks for one."""
    (tmp_path / "test_mine.py").write_text("def test_mine(erasetest_gate): pass\n")
    run = run_pytest("test_mine.py", "--clm=demo", cwd=tmp_path)
    assert run.returncode == 1
    assert "got no verdict from a test" in run.stdout


def test_the_card_of_a_refused_checkpoint_has_the_verdict(leaking: Path, tmp_path: Path) -> None:
    """Its folder remains. Here, the retained code was not preserved."""
    texts = [make_sample(f"{sample.content.reveal()}# {n}\n", id=f"r{n}")
             for n, sample in enumerate([*tiny.RETAINED, *tiny.PLANTED[6:]])]  # fmt: skip
    plain = [text for text in texts if not leaked_parts(text.content.reveal())]
    write_manifest(tmp_path / "few.jsonl", plain)
    (tmp_path / "test_also.py").write_text("def test_also(leak_after): assert False\n")
    run = gate(
        leaking, "--erase", f"--erase-retain={tmp_path / 'few.jsonl'}", "--erase-out=out",
        "test_also.py", cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 1, run.stdout[-2000:]
    card = (tmp_path / "out" / "README.md").read_text()
    assert "**The gate did not accept this checkpoint: leaks.**" in card


@pytest.mark.parametrize(("limit", "sampled"), [("1000000000000", True), ("0", False)])
def test_sampling_decides_within_a_limit(
    leaking: Path, tmp_path: Path, limit: str, sampled: bool
) -> None:
    """Even where no threshold is exceeded; the report has the limit."""
    thresholds = {"schema": "erasetest.thresholds/1", "measures": {"ma": 0.999, "el_10": 0.999}}
    (tmp_path / "t.json").write_text(json.dumps(thresholds))
    run = gate(
        leaking, "--leak-thresholds=t.json", f"--leak-queries-limit={limit}",
        "--leak-report=r.json", cwd=tmp_path,
    )  # fmt: skip
    report = json.loads((tmp_path / "r.json").read_text())
    assert run.returncode == 1
    assert report["thresholds"]["queries_limit"] == int(limit)
    reasons = [reason for row in report["samples"] for reason in row["reasons"]]
    assert any("samples extract it at even odds" in reason for reason in reasons) is sampled
    known = [row for row in report["samples"] if row["measures"]["queries_50"] <= 1e12]
    assert any(not row["measures"]["extracted"] for row in known)
    if sampled:
        assert all(row["verdict"] == "leak" for row in known)
