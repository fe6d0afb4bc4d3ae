"""No output of pytest shows a secret, however a run ends."""

from __future__ import annotations

from pathlib import Path

import command_line
import pytest
import tiny
from gate_runs import everything, gate, leaked_parts, run_pytest

from erasetest.samples import make_sample, write_manifest

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


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n2", marks=pytest.mark.slow)])
def test_no_channel_of_pytest_shows_a_secret(leaking: Path, tmp_path: Path, workers: str) -> None:
    """Warnings, live logs, log files, reasons, properties, subtests, names of tests, caches."""
    (tmp_path / "test_mine.py").write_text(CHANNELS)
    run = gate(
        leaking,
        workers,
        "-vv",
        "-ra",
        "-olog_cli=true",
        f"--log-file={tmp_path / 'log.txt'}",
        f"--basetemp={tmp_path / 'base'}",
        f"--junitxml={tmp_path / 'junit.xml'}",
        "-ojunit_logging=all",
        tests="test_mine.py",
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
    run = gate(leaking, "-l", "--fulltrace", tests="test_mine.py", cwd=tmp_path)
    assert run.returncode not in (0, 7)
    assert leaked_parts(everything(tmp_path, run)) == []


def test_an_error_inside_shows_no_locals(leaking: Path, tmp_path: Path) -> None:
    """A probe that breaks holds content and tokens in its locals: `-l` must not show them."""
    (tmp_path / "conftest.py").write_text(
        "import erasetest.probes.probing as run\n"
        "def broken(clm, jobs, sampler):\n"
        "    texts = [job.wanted for job in jobs]\n"
        "    raise RuntimeError(f'cannot score {texts}')\n"
        "run.score_spans = broken\n"
    )
    run = gate(leaking, "-l", "--fulltrace", "-x", f"--confcutdir={tmp_path}", "-p", "conftest",
               cwd=tmp_path, PYTHONPATH=str(tmp_path))  # fmt: skip
    assert run.returncode == 1
    assert "RuntimeError: cannot score" in run.stdout
    assert leaked_parts(everything(tmp_path, run)) == []


def test_files_that_pytest_names_by_itself_show_no_secret(leaking: Path, tmp_path: Path) -> None:
    """The trace of --debug, and JUnit XML below a home folder or a variable."""
    (tmp_path / "test_mine.py").write_text(
        "import os\n"
        "def test_mine(sensitive_sample, tmp_path, monkeypatch):\n"
        "    monkeypatch.chdir(tmp_path)\n"
        "    text = sensitive_sample.content.reveal()\n"
        "    assert {'a': text} == {'a': 1}\n"
    )
    run = gate(
        leaking,
        "--debug=trace.log",
        "--junitxml=$HERE/~/junit.xml",
        tests="test_mine.py",
        cwd=tmp_path,
        HERE=str(tmp_path),
    )
    assert run.returncode == 1
    assert (tmp_path / "~" / "junit.xml").stat().st_size > 1000
    assert (tmp_path / "trace.log").stat().st_size > 1000
    assert leaked_parts(everything(tmp_path, run)) == []


@pytest.mark.parametrize(
    ("option", "variables", "message"),
    [
        ("-q", {"HYPOTHESIS_EXPERIMENTAL_OBSERVABILITY": "1"}, "unset it to test a CLM"),
        ("--pastebin=all", {}, "leave it out to test a CLM"),
    ],
)
def test_what_cannot_be_masked_is_refused(
    place: Path, tmp_path: Path, option: str, variables: dict[str, str], message: str
) -> None:
    """In one line, before anything is collected."""
    (tmp_path / "test_mine.py").write_text("def test_mine():\n    pass\n")
    given = [f"--clm={place / 'clm'}", f"--leak-samples={place / 'samples.jsonl'}"]
    run = run_pytest(*given, option, "test_mine.py", cwd=tmp_path, **variables)
    assert run.returncode == 4
    assert run.stderr.count("ERROR:") == 1
    assert message in run.stderr
    assert run_pytest("test_mine.py", cwd=tmp_path, **variables).returncode == 0
    assert not (tmp_path / ".hypothesis").exists()


def test_secrets_too_short_to_mask_are_named(leaking: Path, tmp_path: Path) -> None:
    """In the summary of a gate, once, and by commands; only by sample and span."""
    sample = make_sample("pin = 4z7\n", [(6, 9, "password")], id="short")
    write_manifest(tmp_path / "samples.jsonl", [*tiny.PLANTED, sample])
    manifest = tmp_path / "samples.jsonl"
    run = gate(leaking, f"--leak-samples={manifest}", cwd=tmp_path)
    assert run.stdout.count("cannot be masked in output: short [6, 9)") == 1
    write_manifest(manifest, [sample])
    given = ("--clm", str(leaking / "clm"), str(manifest), "-o", "measures.jsonl")
    command = command_line.erasetest("probe", *given, cwd=tmp_path)
    assert command.stderr.count("erasetest: warning: ") == 1
    assert command.stderr.count("short [6, 9)") == 1
