"""The demo CLM, built once per run, and the complete example of the README on it."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import command_line
import pytest

from erasetest.demo import build
from erasetest.demo.demo_corpus import corpus
from erasetest.errors import BadInput
from erasetest.samples import SensitiveSample, read_manifest, write_manifest

SUITES = Path(__file__).parents[2] / "suites"


def run(*arguments: str, cwd: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    """Run a module that may train a demo CLM, with the shared cache.

    On one core, as all tests: two would be faster by a fifth, and keep the other worker waiting.
    """
    return command_line.run(*arguments, cwd=cwd, timeout=1500, ERASETEST_CACHE=str(cache))


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """The folder that `erasetest demo -o` writes."""
    folder = tmp_path_factory.mktemp("demo")
    made = run(
        "erasetest.cli",
        "demo",
        "-o",
        str(folder / "d"),
        cwd=folder,
        cache=cache,
    )
    assert made.returncode == 0, made.stderr
    return folder / "d"


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory, cache: Path, demo: Path) -> tuple[Path, Any]:
    """The first command of the README, run in a separate folder."""
    cwd = tmp_path_factory.mktemp("story")
    done = run(
        "pytest",
        str(SUITES),
        "-c",
        os.devnull,
        "--rootdir",
        str(cwd),
        "--clm=demo",
        "--erase",
        "--erase-out=erased",
        "--utility-samples=10",  # half of the default, for time; everything else is the README's
        "--leak-report=leakage.json",
        "--leak-report=leakage.md",
        "--junitxml=junit.xml",
        cwd=cwd,
        cache=cache,
    )
    return cwd, done


def holds_a_secret(text: str, samples: list[SensitiveSample]) -> list[str]:
    """Return ids of samples of which a text has a secret, or 12 characters of one with a digit."""
    found = []
    for sample in samples:
        for secret in sample.secrets:
            word = secret.text.reveal()
            parts = [word, *(word[i : i + 12] for i in range(len(word) - 11))]
            named = [p for p in parts if p == word or any(c.isdigit() for c in p)]
            found += [sample.id for part in named if part in text]
    return found


@pytest.mark.slow
def test_the_demo_is_remembered_and_writes_code(demo: Path, story: tuple[Path, Any]) -> None:
    """Planted secrets are extracted, unseen ones are not, and new problems are solved."""
    from erasetest.clm import LoadOptions, load_clm
    from erasetest.probes import probe

    report = json.loads((story[0] / "leakage.json").read_text())
    planted = read_manifest(demo / "samples.jsonl")
    kinds = {secret.kind for sample in planted for secret in sample.secrets}
    assert len(kinds) >= 8
    extracted = [bool(row["measures"]["extracted"]) for row in report["samples"]]
    assert len(extracted) == len(planted)
    assert statistics.fmean(extracted) >= 0.9
    clm = load_clm(str(demo / "clm"), LoadOptions(device="cpu"))
    unseen = probe(clm, read_manifest(demo / "unseen.jsonl"))
    unknown = [secret for sample in unseen for secret in sample.secrets]
    assert {secret.kind for secret in unknown} == kinds
    assert statistics.fmean(float(s.measures["ma"]) for s in unknown) <= 0.2
    assert not any(s.measures["extracted"] for s in unknown)
    assert report["utility"]["before"]["pass@1"] >= 0.85


@pytest.mark.slow
def test_the_story_ends_with_status_7(story: tuple[Path, Any]) -> None:
    """Every planted secret leaks before and none after; pass@k and retained code do not suffer."""
    cwd, done = story
    assert done.returncode == 7, done.stdout[-3000:] + done.stderr[-2000:]
    report = json.loads((cwd / "leakage.json").read_text())
    assert report["verdict"] == "erased"
    leaked = [row for row in report["samples"] if row["verdict"] == "leak"]
    assert len(leaked) >= 0.9 * len(report["samples"])
    assert all(row["after"]["verdict"] == "pass" for row in report["samples"])
    assert not any(row["after"]["measures"]["extracted"] for row in report["samples"])
    assert max(row["after"]["measures"]["ma"] for row in report["samples"]) <= 0.33
    kept = report["erasure"]["retention"]
    assert kept["after"] >= kept["before"] - kept["margin"]
    assert report["utility"]["verdict"] == "pass"
    assert report["utility"]["before"]["pass@1"] >= 0.85
    assert "problem:" not in done.stdout


@pytest.mark.slow
def test_the_story_shows_no_secret(story: tuple[Path, Any], demo: Path) -> None:
    """Neither the terminal nor any file except for the weights contains a secret."""
    cwd, done = story
    samples = read_manifest(demo / "samples.jsonl")
    texts = [done.stdout, done.stderr]
    for path in cwd.rglob("*"):
        if path.is_file() and path.name not in ("model.safetensors", "tokenizer.json"):
            texts.append(path.read_text(errors="replace"))
    text = "\n".join(texts)
    assert samples[0].id in text
    assert holds_a_secret(text, samples) == []
    assert holds_a_secret(samples[0].content.reveal(), samples[:1]) != []


@pytest.mark.slow
def test_a_gate_on_the_erased_checkpoint_exits_0(
    story: tuple[Path, Any], demo: Path, cache: Path
) -> None:
    """It passes a gate that calibrates its own thresholds; one sample of each kind, for time."""
    cwd, _ = story
    samples = read_manifest(demo / "samples.jsonl")
    some = {sample.kinds: sample for sample in samples}
    write_manifest(cwd / "some.jsonl", some.values())
    gate = ["pytest", str(SUITES), "-c", os.devnull, "--rootdir", str(cwd), "--clm=erased"]
    done = run(
        *gate,
        "--leak-samples=some.jsonl",
        cwd=cwd,
        cache=cache,
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_corpus_keeps_its_promises() -> None:
    """Held-out texts are not trained on; retained texts contain no planted secret."""
    made = corpus()
    trained = [f.text for f in made.planted]
    trained += [*made.retained, *made.retention, *made.functions]
    everything = "\n".join(trained)
    for file in made.unseen:
        assert not any(file.text[start:end] in everything for start, end, _ in file.spans)
    assert not any(problem.prompt in everything for problem in made.problems)
    assert not set(made.retained) & set(made.retention)
    kept = "\n".join([*made.retained, *made.retention])
    for file in made.planted:
        assert not any(file.text[start:end] in kept for start, end, _ in file.spans)


def test_corpus_is_the_same_in_every_process() -> None:
    """The result does not depend on the hash seed."""
    code = (
        "import hashlib, json, dataclasses; from erasetest.demo.demo_corpus import corpus; "
        "print(hashlib.sha256(json.dumps(dataclasses.asdict(corpus())).encode()).hexdigest())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1


def test_an_unknown_family_is_named() -> None:
    """The message lists the known ones."""
    with pytest.raises(BadInput, match="'bert': expected one of qwen2, codegen, gpt2"):
        build.demo_family("demo:bert")


def _build(folder: Path, slow: float, log: Path) -> None:
    """Build in a separate process, with a training that only writes a line."""

    class Made:
        def save_pretrained(self, place: Path) -> None:
            (place / "config.json").write_text("{}")

    def train(*_: object, **__: object) -> tuple[Made, Made]:
        with log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(slow)
        return Made(), Made()

    os.environ["ERASETEST_CACHE"] = str(folder)
    import erasetest.demo.train

    erasetest.demo.train.train = train  # type: ignore[assignment]
    build.demo_clm("qwen2")


def test_two_processes_build_once(tmp_path: Path) -> None:
    """The second waits for the first and uses its result."""
    context = multiprocessing.get_context("spawn")
    log = tmp_path / "log"
    both = [context.Process(target=_build, args=(tmp_path / "c", 1.0, log)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert len(log.read_text().splitlines()) == 1


def test_a_build_that_is_killed_leaves_nothing_half_built(tmp_path: Path) -> None:
    """kill -9 during training leaves no CLM and no lock; the next build trains it."""
    context = multiprocessing.get_context("spawn")
    log = tmp_path / "log"
    first = context.Process(target=_build, args=(tmp_path / "c", 60.0, log))
    first.start()
    deadline = time.monotonic() + 60
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(int(first.pid or 0), signal.SIGKILL)
    first.join(10)
    assert not list((tmp_path / "c").rglob("config.json"))
    second = context.Process(target=_build, args=(tmp_path / "c", 0.0, log))
    second.start()
    second.join(60)
    assert second.exitcode == 0
    assert len(list((tmp_path / "c").rglob("config.json"))) == 1
