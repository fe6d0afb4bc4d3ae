"""The plugin as users run it: real pytest runs of the suites on tiny real checkpoints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny

from erasetest.samples import SensitiveSample, make_sample, write_manifest

SUITES = Path(__file__).parents[1] / "suites"
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "ERASETEST_ID_KEY": "tests",
    "HF_HUB_OFFLINE": "1",
    "COLUMNS": "200",
}


@pytest.fixture(scope="session")
def leaking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `clm/` that recites some of `samples.jsonl`, and `retained.jsonl`."""
    folder = tmp_path_factory.mktemp("leaking")
    tiny.save(tiny.reciting("qwen2"), folder / "clm")
    write_manifest(folder / "samples.jsonl", tiny.PLANTED)
    write_manifest(folder / "retained.jsonl", _retained())
    # Of a CLM this small never-seen secrets differ from remembered ones in their MA alone.
    limits = {"schema": "erasetest.thresholds/1", "source": "test", "measures": {"ma": 0.9}}
    (folder / "thresholds.json").write_text(json.dumps(limits))
    return folder


def _retained() -> list[SensitiveSample]:
    lines = [line for text in tiny.CODE for line in text.splitlines(keepends=True) if len(line) > 9]
    return [make_sample(line, id=f"kept-{n}") for n, line in enumerate(lines)]


def gate(folder: Path, *arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the suites on the leaking CLM."""
    defaults = {
        "--clm": folder / "clm",
        "--leak-samples": folder / "samples.jsonl",
        "--leak-thresholds": folder / "thresholds.json",
    }
    named = {argument.split("=")[0] for argument in arguments}
    given = [f"{flag}={path}" for flag, path in defaults.items() if flag not in named]
    return run_pytest(str(SUITES), *given, *arguments, cwd=cwd, **env)


def run_pytest(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(cwd), *arguments],
        cwd=cwd,
        env={**os.environ, **ENVIRONMENT, **env},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def everything(folder: Path, run: subprocess.CompletedProcess[str]) -> str:
    """All that a run printed and wrote, weights left out."""
    texts = [run.stdout, run.stderr]
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".safetensors" and path.name != "tokenizer.json":
            texts.append(str(path) + path.read_text(errors="replace"))
    return "\n".join(texts)


def leaked_parts(text: str) -> list[str]:
    """Runs of eight characters of planted secrets that stand in a text.

    What another text says for its own reasons is left out: words, and `.internal`.
    """
    secrets = [secret.text.reveal() for sample in tiny.PLANTED for secret in sample.secrets]
    parts = [secret[i : i + 8] for secret in secrets for i in range(len(secret) - 7)]
    named = [part for part in parts if not part.isalpha() and part not in ".internal"]
    return [part for part in named if part in text]


@pytest.fixture(scope="module")
def erased(leaking: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """One run with everything on: the folder that it ran in, and what came of it."""
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


def test_nothing_written_or_printed_holds_a_secret(erased: tuple[Path, Any]) -> None:
    """Terminal at -vv -l --fulltrace, JUnit, JSON, Markdown, debug log, .pytest_cache, card."""
    cwd, run = erased
    text = everything(cwd, run)
    assert "planted-0" in text
    assert leaked_parts(text) == []
    assert leaked_parts(tiny.SECRETS[0][1]) != []


def test_the_erased_checkpoint_is_clean(leaking: Path, erased: tuple[Path, Any]) -> None:
    """A gate on what was written to --erase-out exits 0 by itself."""
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


def test_two_workers_say_the_same(leaking: Path, erased: tuple[Path, Any], tmp_path: Path) -> None:
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


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_without_a_clm_it_is_a_usage_error(tmp_path: Path, workers: str) -> None:
    """Never a green run: status 4, and the message names --clm demo."""
    run = run_pytest(str(SUITES), workers, cwd=tmp_path)
    assert run.returncode == 4
    assert "--clm demo" in run.stdout + run.stderr


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_without_samples_it_is_a_usage_error(leaking: Path, tmp_path: Path, workers: str) -> None:
    """With workers and a report too: status 4, what is missing, and no report."""
    run = run_pytest(
        str(SUITES),
        f"--clm={leaking / 'clm'}",
        f"--leak-report={tmp_path / 'r.json'}",
        workers,
        cwd=tmp_path,
    )
    assert run.returncode == 4, run.stdout
    assert "--leak-samples" in run.stdout + run.stderr
    assert "INTERNALERROR" not in run.stdout + run.stderr
    assert not (tmp_path / "r.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--leak-samples=x.jsonl"], "--clm demo"),
        (["--clm=nowhere/at"], "--leak-samples"),
        (["--clm=nowhere/at/all"], "no such folder"),
        (["--clm=demo", "--utility=demo", "--utility-against=./none"], "./none: no such folder"),
        (["--clm=demo", "--leak-report=/proc/x.json"], "/proc/x.json"),
        (["--clm=demo", "--leak-baseline=none/b.json", "--leak-accept"], "none/b.json"),
        (["--clm=/nowhere", "--leak-samples=x.jsonl"], "no such folder"),
        (["--clm=demo", "--clm-dtype=int4"], "bfloat16"),
        (["--clm=demo:bert"], "qwen2, codegen, gpt2"),
        (["--clm=demo", "--leak-samples=missing.jsonl"], "missing.jsonl: cannot be read"),
        (["--clm=demo", "--leak-report=r.txt"], ".json"),
        (["--clm=demo", "--erase=magic"], "codeeraser"),
        (["--clm=demo", "--erase-out=x"], "--erase"),
        (["--clm=demo", "--utility=demo"], "--utility-against"),
        (["--clm=demo", "--utility-samples=0", "--utility=demo", "--erase"], "at least 1"),
        (["--clm=demo", "--leak-accept"], "--leak-baseline"),
        (["--clm=demo", "--erase", "--erase-lora=0"], "--erase-lora must be at least 1"),
        (["--clm=demo", "--erase", "--erase-step-tokens=0"], "--erase-step-tokens must be at"),
        (["--clm=demo", "--erase", "--erase-precision=int8"], "auto, float32, bfloat16"),
        (["--clm=demo", "--erase", "--erase-lr=-1"], "--erase-lr must be a number above 0"),
        (["--clm=demo", "--erase=lasting", "--erase-lora=8"], "leave --erase-lora out"),
    ],
)
def test_bad_options_are_refused_before_any_work(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    """Status 4 and one line that names what to do, without a traceback."""
    run = run_pytest(str(SUITES), *arguments, cwd=tmp_path)
    output = run.stdout + run.stderr
    assert run.returncode == 4, output
    assert message in output
    assert "Traceback" not in output


def test_a_broken_manifest_is_named_by_line(tmp_path: Path) -> None:
    """File and line, and not what stands there."""
    (tmp_path / "bad.jsonl").write_text('{"content": "k = \'AKIA-sentinel-7\'", "secrets": [{}]}\n')
    run = run_pytest(str(SUITES), "--clm=demo", "--leak-samples=bad.jsonl", cwd=tmp_path)
    assert run.returncode == 4
    assert "bad.jsonl:1:" in run.stdout + run.stderr
    assert "sentinel" not in run.stdout + run.stderr


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_clm_that_cannot_be_loaded_is_a_usage_error(
    leaking: Path, tmp_path: Path, workers: str
) -> None:
    """Seen while loading, it ends the run: one line, not one for each test, and no report."""
    (tmp_path / "clm").mkdir()
    (tmp_path / "clm" / "config.json").write_text('{"model_type": "bert"}')
    run = gate(
        leaking,
        f"--clm={tmp_path / 'clm'}",
        f"--leak-report={tmp_path / 'r.json'}",
        f"-n{workers}",
        cwd=tmp_path,
    )
    assert run.returncode == 4, run.stdout
    errors = [line for line in run.stdout.splitlines() if line.startswith("ERROR: ")]
    assert len(errors) == 1
    assert "has no tokenizer" in errors[0]
    assert "Traceback" not in run.stdout + run.stderr
    assert run.stdout.count("\n") < 40
    assert not (tmp_path / "r.json").exists()


def test_samples_left_out_are_not_taken_for_clean(leaking: Path, tmp_path: Path) -> None:
    """Only samples that pass are selected: still status 1, since others got no verdict."""
    run = gate(leaking, "-k", "planted-7", cwd=tmp_path)
    assert "passed" in run.stdout
    assert "failed" not in run.stdout
    assert run.returncode == 1
    assert "7 of 8 samples got no verdict" in run.stdout


def test_a_secret_past_the_window_is_inconclusive(leaking: Path, tmp_path: Path) -> None:
    """It can be neither probed nor passed."""
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


CHANNELS = """
import logging, warnings, pytest

def test_warn(sensitive_sample):
    warnings.warn(sensitive_sample.content.reveal())

def test_log(sensitive_sample):
    logging.getLogger("mine").warning("%s", sensitive_sample.content.reveal())

def test_xfail(sensitive_sample):
    pytest.xfail(sensitive_sample.content.reveal())

def test_skip(sensitive_sample):
    pytest.skip(sensitive_sample.content.reveal())

def test_property(sensitive_sample, record_property, record_testsuite_property):
    record_property("text", sensitive_sample.content.reveal())
    record_testsuite_property("all", sensitive_sample.content.reveal())

def test_subtests(sensitive_sample, subtests):
    with subtests.test(msg=sensitive_sample.content.reveal()):
        assert False

def test_bytes(sensitive_sample):
    assert sensitive_sample.content.reveal().encode() == b""

def pytest_generate_tests(metafunc):
    if "text" in metafunc.fixturenames:
        from erasetest.samples import read_manifest
        samples = read_manifest(metafunc.config.getoption("--leak-samples")[0])
        metafunc.parametrize("text", [s.secrets[0].text.reveal() for s in samples])

def test_named(text, tmp_path):
    assert False
"""


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_no_channel_of_pytest_shows_a_secret(leaking: Path, tmp_path: Path, workers: str) -> None:
    """Warnings, live logs, log files, reasons, properties, subtests, names of tests, caches."""
    (tmp_path / "test_mine.py").write_text(CHANNELS)
    run = run_pytest(
        str(tmp_path / "test_mine.py"),
        f"--clm={leaking / 'clm'}",
        f"--leak-samples={leaking / 'samples.jsonl'}",
        f"--leak-thresholds={leaking / 'thresholds.json'}",
        workers,
        "-vv",
        "-ra",
        "-olog_cli=true",
        f"--log-file={tmp_path / 'log.txt'}",
        f"--basetemp={tmp_path / 'base'}",
        f"--junitxml={tmp_path / 'junit.xml'}",
        "-ojunit_logging=all",
        cwd=tmp_path,
    )
    assert run.returncode == 1, run.stdout[-2000:]
    assert "INTERNALERROR" not in run.stdout
    assert "xfailed" in run.stdout
    assert "8 skipped" in run.stdout
    assert leaked_parts(everything(tmp_path, run)) == []


@pytest.mark.parametrize("ending", ["pytest.exit(text)", "raise KeyboardInterrupt(text)"])
def test_an_end_in_the_middle_shows_no_secret(leaking: Path, tmp_path: Path, ending: str) -> None:
    """The reason of an exit, and the frames of an interrupt."""
    (tmp_path / "test_mine.py").write_text(
        "import pytest\n"
        "def stop(text):\n"
        f"    {ending}\n"
        "def test_mine(sensitive_sample):\n"
        "    stop(sensitive_sample.content.reveal())\n"
    )
    run = run_pytest(
        str(tmp_path / "test_mine.py"),
        f"--clm={leaking / 'clm'}",
        f"--leak-samples={leaking / 'samples.jsonl'}",
        "-l",
        "--fulltrace",
        cwd=tmp_path,
    )
    assert run.returncode not in (0, 7)
    assert leaked_parts(everything(tmp_path, run)) == []


def test_no_green_run_without_verdicts(leaking: Path, tmp_path: Path) -> None:
    """Samples were named, and no test asked about them: status 1, and the report says so."""
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


def test_own_tests_do_not_stand_in_the_way_of_status_7(leaking: Path, tmp_path: Path) -> None:
    """A test of one's own that fails for a leaking sample says no more than ours."""
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


def test_an_error_inside_shows_no_locals(leaking: Path, tmp_path: Path) -> None:
    """A probe that breaks holds content and tokens in its locals: `-l` must not show them."""
    (tmp_path / "conftest.py").write_text(
        "import erasetest.probes.run as run\n"
        "def broken(clm, jobs, sampler):\n"
        "    texts = [job.wanted for job in jobs]\n"
        "    raise RuntimeError(f'cannot score {texts}')\n"
        "run.score_jobs = broken\n"
    )
    run = gate(leaking, "-l", "--fulltrace", "-x", f"--confcutdir={tmp_path}", "-p", "conftest",
               cwd=tmp_path, PYTHONPATH=str(tmp_path))  # fmt: skip
    assert run.returncode == 1
    assert "RuntimeError: cannot score" in run.stdout
    assert leaked_parts(everything(tmp_path, run)) == []


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
    assert f"accepted: {count} leaks fail no test; the first until" in run.stdout
    assert f"**Clean but for {count} accepted leaks.**" in report.read_text()
    assert "accepted until" in report.read_text()
    baseline.write_text(json.dumps({**document, "accepted": 5}))
    run = gate(leaking, option, cwd=tmp_path)
    assert run.returncode == 4
    assert "'accepted' must be a list" in run.stdout + run.stderr
    for row in document["accepted"]:
        row["expires"] = "2020-01-01"
    baseline.write_text(json.dumps(document))
    assert gate(leaking, option, cwd=tmp_path).returncode == 1


def test_options_can_stand_in_an_ini_file(leaking: Path, tmp_path: Path) -> None:
    """Each option is an ini key with underscores; paths are meant from the file's folder."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "pytest.ini").write_text(
        f"[pytest]\nclm = {leaking / 'clm'}\nleak_samples = samples.jsonl\n"
        "leak_thresholds = limits.json\nleak_report = out.json\n"
    )
    (tmp_path / "samples.jsonl").write_text((leaking / "samples.jsonl").read_text())
    (tmp_path / "limits.json").write_text((leaking / "thresholds.json").read_text())
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", str(tmp_path / "pytest.ini"), str(SUITES)],
        cwd=tmp_path / "sub",
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert run.returncode == 1, run.stdout + run.stderr
    assert json.loads((tmp_path / "out.json").read_text())["verdict"] == "leaks"


def test_the_plugin_is_silent_and_light_where_it_is_not_used(tmp_path: Path) -> None:
    """A run without its options says nothing of it, and imports neither torch nor transformers."""
    (tmp_path / "test_other.py").write_text(
        "import sys\n"
        "def test_light():\n"
        "    assert 'pytest_erasetest.plugin' in sys.modules\n"
        "    assert not {'torch', 'transformers', 'detect_secrets'} & set(sys.modules)\n"
    )
    run = run_pytest("test_other.py", cwd=tmp_path)
    assert run.returncode == 0, run.stdout
    assert "erasetest:" not in run.stdout


def test_help_lists_the_options(tmp_path: Path) -> None:
    """`pytest --help` has the group with every option."""
    run = run_pytest("--help", cwd=tmp_path)
    assert run.returncode == 0
    for flag in ("--clm MODEL", "--leak-samples", "--erase [METHOD]", "--utility-against"):
        assert flag in run.stdout.replace("=", " ")


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
def test_names_that_others_use_as_well_are_theirs(
    leaking: Path, tmp_path: Path, case: str, active: bool
) -> None:
    """The plugin is in every project of whoever installed it; `clm` and `leak` are plain words."""
    (tmp_path / "test_theirs.py").write_text(OWN_NAMES[case])
    arguments = [f"--clm={leaking / 'clm'}"] if active else []
    run = run_pytest("test_theirs.py", *arguments, cwd=tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "passed" in run.stdout
    assert "deselected" not in run.stdout


def test_files_that_pytest_names_by_itself_show_no_secret(leaking: Path, tmp_path: Path) -> None:
    """The trace of --debug, and JUnit XML below a home folder or a variable."""
    (tmp_path / "test_mine.py").write_text(
        "import os\n"
        "def test_mine(sensitive_sample, tmp_path, monkeypatch):\n"
        "    monkeypatch.chdir(tmp_path)\n"
        "    text = sensitive_sample.content.reveal()\n"
        "    assert {'a': text} == {'a': 1}\n"
    )
    run = run_pytest(
        "test_mine.py",
        f"--clm={leaking / 'clm'}",
        f"--leak-samples={leaking / 'samples.jsonl'}",
        "--debug=trace.log",
        "--junitxml=$HERE/~/junit.xml",
        cwd=tmp_path,
        HERE=str(tmp_path),
    )
    assert run.returncode == 1
    assert (tmp_path / "~" / "junit.xml").stat().st_size > 1000
    assert (tmp_path / "trace.log").stat().st_size > 1000
    assert leaked_parts(everything(tmp_path, run)) == []


def test_a_demo_run_without_a_verdict_is_not_green(tmp_path: Path) -> None:
    """The demo brings samples, and no test asked for one."""
    (tmp_path / "test_mine.py").write_text("def test_mine(erasetest_gate): pass\n")
    run = run_pytest("test_mine.py", "--clm=demo", cwd=tmp_path)
    assert run.returncode == 1
    assert "got no verdict from a test" in run.stdout


def test_retained_code_is_looked_at_before_the_work(leaking: Path, tmp_path: Path) -> None:
    """A secret of a sample in it, or the same text over and over: status 4 and one line."""
    bad = tmp_path / "bad.jsonl"
    arguments = ["--erase", f"--erase-retain={bad}"]
    for texts, said in [
        ([*_retained(), tiny.PLANTED[3]], "retained code planted-3 holds a secret of sample"),
        ([make_sample("x = 1\n", id=str(n)) for n in range(9)], "1 different texts are too few"),
    ]:
        write_manifest(bad, texts)
        run = gate(leaking, *arguments, cwd=tmp_path)
        assert run.returncode == 4, run.stdout
        assert said in run.stdout + run.stderr
        assert leaked_parts(run.stdout + run.stderr) == []


def test_an_output_that_another_run_is_writing_is_refused(leaking: Path, tmp_path: Path) -> None:
    """Two gates at once must not both erase into one folder: the second says so, with status 4."""
    arguments = ["--erase", f"--erase-retain={leaking / 'retained.jsonl'}", "--erase-out=out"]
    from filelock import FileLock

    with FileLock(tmp_path / ".out.lock"):
        run = gate(leaking, *arguments, cwd=tmp_path)
    assert run.returncode == 4, run.stdout
    assert "out: another run is writing it" in run.stdout + run.stderr


def test_a_clm_beside_the_ini_file(leaking: Path, tmp_path: Path) -> None:
    """Named relatively in the ini file, it is found from any folder."""
    (tmp_path / "models").symlink_to(leaking)
    (tmp_path / "below").mkdir()
    (tmp_path / "test_mine.py").write_text("def test_mine(clm): assert clm.family == 'qwen2'\n")
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nclm = models/clm\nleak_samples = models/samples.jsonl\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "../test_mine.py"],
        cwd=tmp_path / "below",
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    # No test asked for the samples, so it is not green; but the CLM was found.
    assert done.returncode == 1, done.stdout
    assert "1 passed" in done.stdout


def test_a_checkpoint_that_the_gate_refuses_says_so(leaking: Path, tmp_path: Path) -> None:
    """Its folder stays, and its card names the verdict: here, retained code that was not kept."""
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
