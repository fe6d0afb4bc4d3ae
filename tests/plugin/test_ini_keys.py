"""Settings in ini files: defaults for tests that ask for a CLM, without effect on other runs."""

from __future__ import annotations

import json
import operator

import pytest
import tiny
from pytest_erasetest.option_checks import read_settings
from pytest_erasetest.options import Settings

from erasetest.erasing.methods import DEFAULT_METHOD
from erasetest.samples import write_manifest

pytest.importorskip("httpx")

UNRELATED = "def test_a(): pass\n"
ASKING = "def test_mine(leak): pass\n"
PLAIN = ("-p", "no:hypothesispytest")


@pytest.fixture
def project(pytester: pytest.Pytester, urls: dict[bool, str]) -> pytest.Pytester:
    """A project whose ini file names a CLM and samples; one of its two tests asks for them."""
    write_manifest(pytester.path / "samples.jsonl", tiny.PLANTED[-2:])
    pytester.makeini(
        f"[pytest]\nclm = {urls[False]}\nleak_samples = samples.jsonl\nleak_report = r.json\n"
    )
    pytester.makepyfile(test_a=UNRELATED, test_mine=ASKING)
    return pytester


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n2", marks=pytest.mark.slow)])
def test_an_unrelated_test_is_left_alone(project: pytest.Pytester, workers: str) -> None:
    """No verdict is required, no report is written, and failures are listed as usual."""
    run = project.runpytest_inprocess(*PLAIN, workers, "test_a.py")
    assert run.ret == 0
    assert "verdict" not in run.stdout.str() + run.stderr.str()
    assert not (project.path / "r.json").exists()
    project.makepyfile(test_b="def test_b(): assert False\n")
    run = project.runpytest_inprocess(*PLAIN, workers, "test_b.py")
    assert run.ret == 1
    run.stdout.fnmatch_lines(["FAILED test_b.py::test_b*"])


def test_what_an_unrelated_test_does_not_use_is_not_checked(project: pytest.Pytester) -> None:
    """A missing manifest, output folder or CLM is refused only if a test asks for it."""
    project.makeini(
        "[pytest]\nclm = ./gone\nleak_samples = none.jsonl\nerase = true\nerase_out = .\n"
    )
    assert project.runpytest_inprocess(*PLAIN, "test_a.py").ret == 0
    run = project.runpytest_inprocess(*PLAIN, "test_a.py", "test_mine.py")
    assert run.ret == 4
    assert "gone" in run.stderr.str() + run.stdout.str()


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n2", marks=pytest.mark.slow)])
def test_a_test_that_asks_makes_verdicts_count(project: pytest.Pytester, workers: str) -> None:
    """A sample without a verdict fails the run; with all verdicts, it is clean."""
    run = project.runpytest_inprocess(*PLAIN, workers, "test_a.py", "test_mine.py")
    assert run.ret == 0
    assert json.loads((project.path / "r.json").read_text())["verdict"] == "clean"
    run = project.runpytest_inprocess(*PLAIN, workers, "-k", "planted-6")
    assert run.ret == 1
    run.stdout.fnmatch_lines(["problem: 1 of 2 samples got no verdict from a test: planted-7"])


@pytest.mark.parametrize("place", ["arguments", "PYTEST_ADDOPTS", "addopts"])
def test_an_option_makes_verdicts_count(
    project: pytest.Pytester,
    urls: dict[bool, str],
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    """On the command line, which PYTEST_ADDOPTS and `addopts` are a part of."""
    arguments, option = [], f"--clm={urls[False]}"
    if place == "arguments":
        arguments = [option]
    elif place == "PYTEST_ADDOPTS":
        monkeypatch.setenv(place, option)
    else:
        project.makeini(f"[pytest]\naddopts = {option}\nleak_samples = samples.jsonl\n")
    run = project.runpytest_inprocess(*PLAIN, *arguments, "test_a.py")
    assert run.ret == 1
    run.stdout.fnmatch_lines(["problem: 2 of 2 samples got no verdict from a test: *"])


@pytest.mark.parametrize("place", ["PYTEST_ADDOPTS", "addopts"])
def test_an_option_without_a_clm_is_refused_wherever_it_is_given(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Such a run would be green without a check."""
    pytester.makepyfile(test_a=UNRELATED)
    if place == "addopts":
        pytester.makeini("[pytest]\naddopts = --leak-samples=s.jsonl\n")
    else:
        monkeypatch.setenv(place, "--leak-samples=s.jsonl")
    run = pytester.runpytest_inprocess(*PLAIN, "test_a.py")
    assert run.ret == 4
    run.stderr.fnmatch_lines(["*--leak-samples needs a CLM*"])


NATIVE = {
    "leak_queries": ("3", "'3'", 3, "leak_queries"),
    "leak_length": ("64", "'64'", 64, "leak_length"),
    "leak_baseline_days": ("30", "'30'", 30, "leak_baseline_days"),
    "clm_batch_tokens": ("4096", "'4096'", 4096, "loading.batch_tokens"),
    "erase_lora": ("8", "'8'", 8, "erasing.lora"),
    "erase_step_tokens": ("512", "'512'", 512, "erasing.step_tokens"),
    "utility_samples": ("5", "'5'", 5, "sampling.samples"),
    "erase_lr": ("0.001", "'0.001'", 0.001, "erasing.lr"),
    "utility_margin": ("0", "'0.0'", 0.0, "utility_margin"),
    "clm_allow_pickle": ("true", "'true'", True, "loading.allow_pickle"),
    "leak_accept": ("false", "'false'", False, "leak_accept"),
    "erase_checkpointing": ("true", "'true'", True, "erasing.checkpointing"),
}
"""Ini keys: a value of the type in TOML, the same as a string, the value read, and its place."""


def _settings(pytester: pytest.Pytester, toml: str) -> Settings:
    (pytester.path / "pyproject.toml").write_text(toml)
    return read_settings(pytester.parseconfig(*PLAIN))


@pytest.mark.parametrize("name", NATIVE)
def test_native_values_of_toml_are_accepted(pytester: pytest.Pytester, name: str) -> None:
    """In `[tool.pytest]` as numbers and booleans; in `[tool.pytest.ini_options]` as text too."""
    native, text, value, place = NATIVE[name]
    read = operator.attrgetter(place)
    settings = _settings(pytester, f"[tool.pytest]\n{name} = {native}\n")
    assert read(settings) == value
    for written in (native, text):
        settings = _settings(pytester, f"[tool.pytest.ini_options]\n{name} = {written}\n")
        assert read(settings) == value


def test_lists_and_methods_of_toml_are_accepted(pytester: pytest.Pytester) -> None:
    """Paths are relative to the folder of the file; `erase = true` is the default method."""
    settings = _settings(pytester, "[tool.pytest]\nleak_samples = ['a.jsonl', 'b.jsonl']\n")
    places = tuple(str(pytester.path / name) for name in ("a.jsonl", "b.jsonl"))
    assert settings.leak_samples == places
    for written, method in (("true", "decoys"), ("'ga'", "ga"), ("false", None)):
        settings = _settings(pytester, f"[tool.pytest]\nerase = {written}\n")
        assert settings.erase == method
        assert settings.erase_options.method == (method or DEFAULT_METHOD)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("leak_length = 'many'", "leak_length"),
        ("leak_length = 1.5", "leak_length"),
        ("leak_length = true", "leak_length"),
        ("utility_margin = 'wide'", "utility_margin"),
        ("leak_samples = 'a.jsonl'", "leak_samples"),
        ("clm_allow_pickle = 1", "clm_allow_pickle"),
    ],
)
def test_values_of_another_type_are_refused(pytester: pytest.Pytester, line: str, key: str) -> None:
    """One line that names the key, status 4."""
    (pytester.path / "pyproject.toml").write_text(f"[tool.pytest]\n{line}\n")
    pytester.makepyfile(test_a=UNRELATED)
    run = pytester.runpytest_inprocess(*PLAIN)
    assert run.ret == 4
    errors = [text for text in run.errlines if text.startswith("ERROR: ")]
    assert len(errors) == 1
    assert key in errors[0]
