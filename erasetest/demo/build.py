"""Build the demo CLM once, keep it in the cache folder, and write what belongs to it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from erasetest.demo.demo_corpus import Corpus, code_samples, corpus, samples
from erasetest.demo.functions import Example
from erasetest.errors import BadInput
from erasetest.samples import SensitiveSample, write_manifest
from erasetest.support.atomic_files import cache_dir, new_directory
from erasetest.support.sidecars import sidecar

FAMILIES = ("qwen2", "codegen", "gpt2")
_FORMAT = 3

Progress = Callable[[int, int], None]


def demo_family(name: str) -> str | None:
    """The family that `demo` or `demo:FAMILY` names; None for any other name.

    Raises:
        BadInput: the family is unknown.
    """
    if name == "demo":
        return FAMILIES[0]
    if not name.startswith("demo:"):
        return None
    return check_family(name.removeprefix("demo:"))


def check_family(family: str) -> str:
    """The family itself.

    Raises:
        BadInput: it is unknown.
    """
    if family not in FAMILIES:
        raise BadInput(f"no demo family {family!r}: expected one of {', '.join(FAMILIES)}")
    return family


def demo_clm(family: str, progress: Progress | None = None) -> Path:
    """The folder of the demo CLM of a family, trained now if the cache does not hold it.

    Of several processes that ask at once, one trains and the others wait.
    """
    place = cache_dir() / "demo" / f"{family}-{_version(family)}"
    if (place / "config.json").is_file():
        return place
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"the cache folder {place.parent} cannot be made ({error.strerror}): "
            "name another with ERASETEST_CACHE"
        ) from None
    lock = FileLock(sidecar(place, "lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if progress is not None:
            progress(0, 0)
        lock.acquire()
    try:
        if not (place / "config.json").is_file():
            _train(family, place, progress)
    finally:
        lock.release()
    return place


def write_demo(folder: str | Path, family: str, progress: Progress | None = None) -> None:
    """Write the demo to a new folder, whole or not at all.

    `clm/` (the checkpoint), `samples.jsonl` (what was planted), `unseen.jsonl` (the same kinds,
    never trained), `retained.jsonl` (code to keep while erasing), `retention.jsonl` (other code,
    on which keeping is measured), `problems.jsonl`.

    Raises:
        BadInput: the folder holds something, or cannot be written.
    """
    with new_directory(folder) as place:
        shutil.copytree(demo_clm(family, progress), place / "clm")
        for name, rows in demo_samples().items():
            write_manifest(place / f"{name}.jsonl", rows)
        (place / "problems.jsonl").write_text(
            "".join(json.dumps(problem) + "\n" for problem in demo_problems()), encoding="utf-8"
        )


def demo_samples() -> dict[str, list[SensitiveSample]]:
    """The manifests of the demo, by name; the same for all families."""
    made = corpus()
    return {
        "samples": samples(made.planted, "demo"),
        "unseen": samples(made.unseen, "unseen"),
        "retained": code_samples(made.retained, "retained"),
        "retention": code_samples(made.retention, "retention"),
    }


def demo_problems() -> list[dict[str, Any]]:
    """The problems of the demo, as rows in HumanEval's form."""
    return [_row(number, example) for number, example in enumerate(corpus().problems)]


def _row(number: int, example: Example) -> dict[str, Any]:
    return {
        "task_id": f"demo/{number}",
        "prompt": example.prompt,
        "entry_point": example.entry_point,
        "canonical_solution": example.body,
        "test": example.test,
    }


def _train(family: str, place: Path, progress: Progress | None) -> None:
    from erasetest.demo.train import train

    model, tokenizer = train(corpus(), family, progress=progress)
    with new_directory(place) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _version(family: str) -> str:
    """Changes when the corpus or the recipe does: an older CLM in the cache is not taken for it."""
    from erasetest.demo.recipes import RECIPES

    made: Corpus = corpus()
    said = json.dumps([_FORMAT, asdict(RECIPES[family]), asdict(made)], sort_keys=True)
    return hashlib.blake2b(said.encode(), digest_size=6).hexdigest()
