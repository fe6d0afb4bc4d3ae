"""Build the demo CLM once, store it in the cache folder, and write its samples and problems."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from erasetest.demo.demo_corpus import SEED, Corpus, code_samples, corpus, samples
from erasetest.demo.functions import Example
from erasetest.demo.settings_files import repeat_secrets
from erasetest.errors import BadInput
from erasetest.samples import SensitiveSample, write_manifest
from erasetest.support.atomic_files import cache_dir, new_directory
from erasetest.support.built_once import built_once
from erasetest.support.progress import Progress

COPYING = "copying"
FAMILIES = ("qwen2", "codegen", "gpt2", COPYING)
"""The demo CLMs; `demo` alone names the first. Three are trained, each of another architecture; the
last copies what its prompt contains, and has memorized nothing."""

_EVERY = 4
"""One of so many samples is one of the copying CLM."""

_FORMAT = 5
"""Version of the training code: incremented when it changes what is trained."""


def demo_family(name: str) -> str | None:
    """Return the family that `demo` or `demo:FAMILY` names; None for any other name.

    Raises:
        BadInput: the family is unknown.
    """
    if name == "demo":
        return FAMILIES[0]
    if not name.startswith("demo:"):
        return None
    return check_family(name.removeprefix("demo:"))


def check_family(family: str) -> str:
    """Return the family if it is known.

    Raises:
        BadInput: it is unknown.
    """
    if family not in FAMILIES:
        raise BadInput(f"no demo family {family!r}: expected one of {', '.join(FAMILIES)}")
    return family


def demo_clm(family: str, progress: Progress | None = None) -> Path:
    """Return the folder of the demo CLM of a family; train it if the cache does not have it.

    If several processes need it at once, one trains and the others wait.

    Raises:
        BadInput: the family is unknown, or the cache folder cannot be created.
    """
    place = cache_dir() / "demo" / f"{family}-{_version(family)}"
    return built_once(place, lambda folder: _train(family, folder, progress), progress)


def write_demo(folder: str | Path, family: str, progress: Progress | None = None) -> None:
    """Write the demo to a new folder, completely or not at all.

    The folder contains `clm/` (the checkpoint), `samples.jsonl` (the planted secrets),
    `unseen.jsonl` (secrets of the same kinds that were not trained on), `retained.jsonl` (code that
    erasing must retain), `retention.jsonl` (other code, to measure retention on) and
    `problems.jsonl`.

    Raises:
        BadInput: the folder is not empty, or cannot be written.
    """
    with new_directory(folder) as place:
        shutil.copytree(demo_clm(family, progress), place / "clm")
        for name, rows in demo_samples(family).items():
            write_manifest(place / f"{name}.jsonl", rows)
        (place / "problems.jsonl").write_text(
            "".join(json.dumps(problem) + "\n" for problem in demo_problems()), encoding="utf-8"
        )


def demo_samples(family: str = FAMILIES[0]) -> dict[str, list[SensitiveSample]]:
    """Return the manifests of the demo, by name.

    They are the same for all families, but for the samples of the copying one: some of the others,
    each with its secret twice.
    """
    made = corpus()
    planted = made.planted
    if family == COPYING:
        planted = tuple(map(repeat_secrets, planted[::_EVERY]))
    return {
        "samples": samples(planted, "demo"),
        "unseen": samples(made.unseen, "unseen"),
        "retained": code_samples(made.retained, "retained"),
        "retention": code_samples(made.retention, "retention"),
    }


def demo_problems() -> list[dict[str, Any]]:
    """Return the problems of the demo as rows in the format of HumanEval."""
    return [_row(number, example) for number, example in enumerate(corpus().problems)]


def _row(number: int, example: Example) -> dict[str, Any]:
    return {
        "task_id": f"demo/{number}",
        "prompt": example.prompt,
        "entry_point": example.entry_point,
        "canonical_solution": example.body,
        "test": example.test,
    }


def _train(family: str, folder: Path, progress: Progress | None) -> None:
    if family == COPYING:
        from erasetest.demo.copying import copying_clm

        model, tokenizer = copying_clm(corpus(), SEED)
    else:
        from erasetest.demo.train import train

        model, tokenizer = train(corpus(), family, progress=progress)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _version(family: str) -> str:
    """Return a hash of corpus and recipe, so that an older CLM in the cache is not used."""
    from erasetest.demo.train import RECIPES

    made: Corpus = corpus()
    recipe = asdict(RECIPES[family]) if family in RECIPES else {}
    text = json.dumps([_FORMAT, recipe, asdict(made)], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
