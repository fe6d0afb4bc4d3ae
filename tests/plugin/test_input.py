"""Input that a gate refuses, before any work where possible."""

from __future__ import annotations

import json
import os
from pathlib import Path

import command_line
import pytest
import tiny
from gate_runs import SUITES, gate, leaked_parts, run_pytest

from erasetest.samples import make_sample, read_manifest, write_manifest


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n2", marks=pytest.mark.slow)])
def test_without_a_clm_it_is_a_usage_error(tmp_path: Path, workers: str) -> None:
    """Status 4, never a green run; the message names --clm demo."""
    run = run_pytest(str(SUITES), workers, cwd=tmp_path)
    assert run.returncode == 4
    assert "--clm demo" in run.stdout + run.stderr


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n2", marks=pytest.mark.slow)])
def test_without_samples_it_is_a_usage_error(leaking: Path, tmp_path: Path, workers: str) -> None:
    """Status 4, with workers too: the message names the option, and no report is written."""
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


BAD: list[tuple[list[str], str]] = [
    (["--leak-samples=x.jsonl"], "--clm demo"),
    (["--clm=nowhere/at"], "--leak-samples"),
    (["--clm=nowhere/at/all"], "no such folder"),
    (["--clm=demo", "--utility=demo", "--utility-against=./none"], "./none: no such folder"),
    (["--clm=demo", "--leak-report=/proc/x.json"], "/proc/x.json"),
    (["--clm=demo", "--leak-baseline=none/b.json", "--leak-accept"], "none/b.json"),
    (["--clm=/nowhere", "--leak-samples=x.jsonl"], "no such folder"),
    (["--clm=demo", "--clm-base=./none"], "./none: no such folder"),
    (["--clm=demo", "--clm-base=none.gguf"], "none.gguf: cannot be read"),
    (["--clm=demo", "--clm-base=http://host/v1"], "--clm-base is a URL"),
    (["--clm=http://host/v1", "--clm-base=demo"], "--clm is a URL"),
    (["--clm=demo", "--leak-new-only"], "--clm-base MODEL"),
    (["--clm-base=demo"], "--clm-base needs a CLM"),
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
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_options_are_refused_before_any_work(
    pytester: pytest.Pytester, arguments: list[str], message: str
) -> None:
    """Status 4 and one line that names the remedy, without a traceback."""
    plain = ["-c", os.devnull, "--rootdir", str(pytester.path), "-p", "no:hypothesispytest"]
    run = pytester.runpytest_inprocess(*plain, str(SUITES), *arguments)
    output = run.stdout.str() + run.stderr.str()
    assert run.ret == 4, output
    assert message in output
    assert "Traceback" not in output


@pytest.mark.parametrize(("arguments", "message"), BAD[:3])
def test_bad_options_of_a_new_process(tmp_path: Path, arguments: list[str], message: str) -> None:
    """The same, of pytest as users start it."""
    run = run_pytest(str(SUITES), *arguments, cwd=tmp_path)
    output = run.stdout + run.stderr
    assert run.returncode == 4, output
    assert message in output
    assert "Traceback" not in output


def test_a_broken_manifest_is_named_by_line(tmp_path: Path) -> None:
    """The message has file and line, not the content of the line."""
    (tmp_path / "bad.jsonl").write_text('{"content": "k = \'AKIA-sentinel-7\'", "secrets": [{}]}\n')
    run = run_pytest(str(SUITES), "--clm=demo", "--leak-samples=bad.jsonl", cwd=tmp_path)
    assert run.returncode == 4
    assert "bad.jsonl:1:" in run.stdout + run.stderr
    assert "sentinel" not in run.stdout + run.stderr


@pytest.mark.parametrize("workers", ["0", pytest.param("2", marks=pytest.mark.slow)])
def test_a_clm_that_cannot_be_loaded_is_a_usage_error(
    leaking: Path, tmp_path: Path, workers: str
) -> None:
    """It ends the run: one line, not one per test, and no report."""
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
    assert run.stdout.count("has no tokenizer") == 1
    assert run.stdout.count("\n") < 40
    assert not (tmp_path / "r.json").exists()


def test_options_can_stand_in_an_ini_file(leaking: Path, tmp_path: Path) -> None:
    """Each option is an ini key with underscores; paths are relative to the file's folder."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "pytest.ini").write_text(
        f"[pytest]\nclm = {leaking / 'clm'}\nleak_samples = samples.jsonl\n"
        "leak_thresholds = limits.json\nleak_report = out.json\n"
    )
    (tmp_path / "samples.jsonl").write_text((leaking / "samples.jsonl").read_text())
    (tmp_path / "limits.json").write_text((leaking / "thresholds.json").read_text())
    ini = str(tmp_path / "pytest.ini")
    run = command_line.run("pytest", "-c", ini, str(SUITES), cwd=tmp_path / "sub", timeout=240)
    assert run.returncode == 1, run.stdout + run.stderr
    assert json.loads((tmp_path / "out.json").read_text())["verdict"] == "leaks"


def test_help_lists_the_options(tmp_path: Path) -> None:
    """`pytest --help` has the group with every option."""
    run = run_pytest("--help", cwd=tmp_path)
    assert run.returncode == 0
    for flag in ("--clm MODEL", "--leak-samples", "--erase [METHOD]", "--utility-against"):
        assert flag in run.stdout.replace("=", " ")


def test_retained_code_is_looked_at_before_the_work(leaking: Path, tmp_path: Path) -> None:
    """A secret of a sample in it, or the same text over and over: status 4 and one line."""
    bad = tmp_path / "bad.jsonl"
    arguments = ["--erase", f"--erase-retain={bad}"]
    kept = read_manifest(leaking / "retained.jsonl", require_secrets=False)
    for texts, message in [
        ([*kept, tiny.PLANTED[3]], f"retained text {len(kept) + 1} contains a secret of sample"),
        ([make_sample("x = 1\n", id=str(n)) for n in range(9)], "1 distinct retained texts are"),
    ]:
        write_manifest(bad, texts)
        run = gate(leaking, *arguments, cwd=tmp_path)
        assert run.returncode == 4, run.stdout
        assert message in run.stdout + run.stderr
        assert leaked_parts(run.stdout + run.stderr) == []


def test_an_output_that_another_run_is_writing_is_refused(leaking: Path, tmp_path: Path) -> None:
    """Two gates must not erase into one folder at once: the second one ends with status 4."""
    arguments = ["--erase", f"--erase-retain={leaking / 'retained.jsonl'}", "--erase-out=out"]
    from filelock import FileLock

    with FileLock(tmp_path / ".out.erasetest-lock"):
        run = gate(leaking, *arguments, cwd=tmp_path)
    assert run.returncode == 4, run.stdout
    assert "out: another run is writing it" in run.stdout + run.stderr


def test_a_clm_beside_the_ini_file(leaking: Path, tmp_path: Path) -> None:
    """A relative path in the ini file is found from any folder."""
    (tmp_path / "models").symlink_to(leaking)
    (tmp_path / "below").mkdir()
    (tmp_path / "test_mine.py").write_text("def test_mine(clm): assert clm.family == 'qwen2'\n")
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nclm = models/clm\nleak_samples = models/samples.jsonl\n"
    )
    done = command_line.run("pytest", "../test_mine.py", cwd=tmp_path / "below")
    # No test asked for the samples, so it is not green; but the CLM was found.
    assert done.returncode == 1, done.stdout
    assert "1 passed" in done.stdout
