"""The demo CLM is built once, completely or not at all, also if processes are killed."""

from __future__ import annotations

import dataclasses
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tiny

from erasetest.clm import LoadOptions
from erasetest.demo import train
from erasetest.demo.build import (
    FAMILIES,
    demo_clm,
    demo_family,
    demo_problems,
    demo_samples,
    write_demo,
)
from erasetest.errors import BadInput
from erasetest.loading import open_clm
from erasetest.samples import read_manifest
from erasetest.utility import read_problems

BUILDER = """
import os, signal, sys, types
from dataclasses import dataclass
from pathlib import Path

log, go, dies = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

class Saved:
    def __init__(self, name):
        self.name = name
    def save_pretrained(self, folder):
        (Path(folder) / self.name).write_text("{}")
        if self.name == "config.json" and dies == "saving":
            os.kill(os.getpid(), signal.SIGKILL)

def train(corpus, family, *, progress):
    with log.open("a") as file:
        file.write(f"{family}\\n")
    print("training", flush=True)
    with go.open() as file:
        file.read()
    return Saved("config.json"), Saved("tokenizer.json")

@dataclass
class Recipe:
    steps: int = 1

# Without torch, whose import takes seconds in every process.
sys.modules["erasetest.demo.train"] = types.SimpleNamespace(
    train=train, RECIPES={"gpt2": Recipe()}
)
from erasetest.demo.build import demo_clm
print(demo_clm("gpt2", lambda done, total: print("told", done, total, flush=True)))
"""
"""Builds the demo CLM; the training ends when something is written to the pipe `go`."""


class Builders:
    """Processes that build the demo CLM in one cache."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log, self.go = folder, folder / "log", folder / "go"
        self.started: list[subprocess.Popen[str]] = []
        os.mkfifo(self.go)

    def start(self, dies: str = "never") -> subprocess.Popen[str]:
        """Start a process."""
        builder = subprocess.Popen(
            [sys.executable, "-c", BUILDER, str(self.log), str(self.go), dies],
            env={**os.environ, "ERASETEST_CACHE": str(self.folder / "cache")},
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.started.append(builder)
        return builder

    def end_training(self) -> None:
        """Let the process that trains finish."""
        with self.go.open("w") as file:
            file.write("go")

    @property
    def trained(self) -> int:
        """Number of trainings that were started."""
        return len(self.log.read_text().splitlines())

    @property
    def kept(self) -> dict[str, list[str]]:
        """The CLMs in the cache, with their files."""
        folders = [p for p in (self.folder / "cache" / "demo").glob("[!.]*") if p.is_dir()]
        return {p.name.split("-")[0]: sorted(f.name for f in p.iterdir()) for p in folders}


def _line(builder: subprocess.Popen[str]) -> str:
    """Return the next line that a process prints; empty if it prints none in time."""
    assert builder.stdout is not None
    if not select.select([builder.stdout], [], [], 20)[0]:
        return ""
    return builder.stdout.readline().strip()


@pytest.fixture
def builders(tmp_path: Path) -> Iterator[Builders]:
    """No process is started yet; all are stopped afterwards."""
    made = Builders(tmp_path)
    yield made
    for builder in made.started:
        builder.kill()
        builder.communicate()


WHOLE = {"gpt2": ["config.json", "tokenizer.json"]}


def test_of_two_that_ask_at_once_one_trains(builders: Builders) -> None:
    """The other reports that it waits, and returns the same folder; so does a later one."""
    first = builders.start()
    assert _line(first) == "training"
    second = builders.start()
    assert _line(second) == "told 0 0"
    assert builders.kept == {}
    builders.end_training()
    places = {_line(first), _line(second), _line(builders.start())}
    assert [builder.wait(20) for builder in builders.started] == [0, 0, 0]
    assert len(places) == 1
    assert builders.trained == 1
    assert builders.kept == WHOLE


def test_killed_while_it_saves(builders: Builders) -> None:
    """An incomplete CLM is not used; the next process builds it again."""
    killed = builders.start("saving")
    assert _line(killed) == "training"
    builders.end_training()
    assert killed.wait(20) == -signal.SIGKILL
    assert builders.kept == {}
    again = builders.start()
    assert _line(again) == "training"
    builders.end_training()
    assert again.wait(20) == 0
    assert builders.trained == 2
    assert builders.kept == WHOLE


def test_killed_while_another_waits(builders: Builders) -> None:
    """The waiting process trains instead."""
    killed = builders.start()
    assert _line(killed) == "training"
    waiting = builders.start()
    assert _line(waiting) == "told 0 0"
    killed.kill()
    assert _line(waiting) == "training"
    builders.end_training()
    assert waiting.wait(20) == 0
    assert builders.trained == 2
    assert builders.kept == WHOLE


# In this process


@pytest.fixture
def trainings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The families that were trained, as tiny models, in a separate cache."""
    done: list[str] = []

    def tiny_training(corpus: object, family: str, *, progress: Any) -> tuple[Any, Any]:
        done.append(family)
        if progress is not None:
            progress(1, 1)
        return tiny.model(family), tiny.fresh_tokenizer(family)

    monkeypatch.setattr(train, "train", tiny_training)
    monkeypatch.setenv("ERASETEST_CACHE", str(tmp_path / "the cache"))
    return done


@pytest.mark.parametrize("family", train.RECIPES)
def test_it_opens_by_its_name(family: str, trainings: list[str]) -> None:
    """It is trained the first time only, and has the requested name and family."""
    told: list[tuple[int, int]] = []
    options = LoadOptions(device="cpu")
    clm = open_clm(f"demo:{family}", options, lambda done, total: told.append((done, total)))
    assert (clm.name, clm.family) == (f"demo:{family}", family)
    again = open_clm(f"demo:{family}", options, lambda done, total: told.append((done, total)))
    assert again.fingerprint == clm.fingerprint
    assert trainings == [family]
    assert told == [(1, 1)]


def test_families_are_kept_apart_and_an_old_recipe_is_not_taken(
    trainings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a folder; a change of the recipe changes the folder."""
    places = {demo_clm(family) for family in FAMILIES}
    assert len(places) == 4
    changed = dataclasses.replace(train.RECIPES["gpt2"], steps=3)
    monkeypatch.setitem(train.RECIPES, "gpt2", changed)
    assert demo_clm("gpt2") not in places
    assert demo_clm("qwen2") in places
    assert trainings == [*train.RECIPES, "gpt2"]


def test_a_training_that_is_stopped_leaves_nothing(
    trainings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After Ctrl-C there is no folder and no lock; the next call trains."""

    def stopped(corpus: object, family: str, *, progress: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train, "train", stopped)
        with pytest.raises(KeyboardInterrupt):
            demo_clm("gpt2")
    assert not [path for path in (tmp_path / "the cache" / "demo").iterdir() if path.is_dir()]
    assert (demo_clm("gpt2") / "config.json").is_file()
    assert trainings == ["gpt2"]


def test_a_cache_that_cannot_be_made_is_named(
    trainings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message also names the variable that sets another folder."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ERASETEST_CACHE", str(tmp_path / "file"))
    with _refused("the cache folder", "ERASETEST_CACHE"):
        demo_clm("gpt2")
    assert trainings == []


@contextmanager
def _refused(*reasons: str) -> Iterator[None]:
    with pytest.raises(BadInput) as caught:
        yield
    assert len(str(caught.value).splitlines()) == 1
    for reason in reasons:
        assert reason in str(caught.value)


@pytest.mark.parametrize("name", ["demo:bert", "demo:", "demo:GPT2", "demo:qwen2/x"])
def test_an_unknown_family_is_refused(name: str, trainings: list[str]) -> None:
    """The message contains the given name and the families."""
    with _refused(repr(name.removeprefix("demo:")), *FAMILIES):
        open_clm(name)
    assert trainings == []


def test_names_of_the_demo() -> None:
    """`demo` is the first family; a folder or hub id is not a family."""
    assert demo_family("demo") == "qwen2"
    assert [demo_family(f"demo:{family}") for family in FAMILIES] == list(FAMILIES)
    assert {demo_family(name) for name in ("gpt2", "org/demo", "./demo", "demo2")} == {None}


# What is written


def test_the_demo_is_written_whole(trainings: list[str], tmp_path: Path) -> None:
    """A checkpoint, four manifests and the problems are written, and can be read back."""
    folder = tmp_path / "out" / "demo"
    write_demo(folder, "codegen")
    manifests = {"samples", "unseen", "retained", "retention"}
    files = {f"{name}.jsonl" for name in (*manifests, "problems")}
    assert {path.name for path in folder.iterdir()} == {"clm", *files}
    assert open_clm(str(folder / "clm"), LoadOptions(device="cpu")).family == "codegen"
    for name, samples in demo_samples().items():
        read = read_manifest(
            folder / f"{name}.jsonl", require_secrets=name in ("samples", "unseen")
        )
        assert read == samples
    problems = read_problems(folder / "problems.jsonl")
    assert [p.task_id for p in problems] == [row["task_id"] for row in demo_problems()]
    assert all(p.canonical_solution for p in problems)


def test_a_folder_that_holds_something_is_refused_before_training(
    trainings: list[str], tmp_path: Path
) -> None:
    """The folder is unchanged."""
    (tmp_path / "notes.txt").write_text("mine")
    with _refused(str(tmp_path), "exists already"):
        write_demo(tmp_path, "gpt2")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert trainings == []


def test_a_demo_that_cannot_be_finished_is_not_there(
    trainings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk is full at the last file, no folder is left."""
    demo_clm("gpt2")

    def full(path: Path, *args: Any, **kwargs: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, _refused("out", "the disk is full"):
        patch.setattr(Path, "write_text", full)
        write_demo(tmp_path / "out", "gpt2")
    assert {path.name for path in tmp_path.iterdir()} == {"the cache"}
