"""The corpus of the demo: planted, retained, trained and held-out texts, all from one seed."""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass

from erasetest.demo.functions import Example, examples, split
from erasetest.demo.settings_files import SettingsFile, service_names, settings_file
from erasetest.demo.synthetic_secrets import GENERATORS
from erasetest.samples import SensitiveSample, Source, make_sample

SEED = 20250913
PLANTED_PER_KIND = 8
"""Number of planted secrets of each kind that is not in `LONG_KINDS`."""
LONG_KINDS = ("private-key", "jwt")
PLANTED_PER_LONG_KIND = 4
UNSEEN_PER_KIND = 4
PLAIN_FILES = 24
"""Number of settings files without secrets in `retained`, and in `retention`."""
TRAIN_FUNCTIONS = 1000
KEPT_FUNCTIONS = 96
"""Number of functions in `retained`, and in `retention`."""
PROBLEMS = 164
"""Number of problems, as many as HumanEval has."""


@dataclass(frozen=True)
class Corpus:
    """All texts of the demo. `unseen` and `problems` are not trained on; everything else is."""

    planted: tuple[SettingsFile, ...]
    """Files with secrets that the CLM memorizes."""
    unseen: tuple[SettingsFile, ...]
    """Files with secrets of the same kinds."""
    retained: tuple[str, ...]
    """Code that erasing constrains the CLM to retain."""
    retention: tuple[str, ...]
    """Other code, on which retention is measured."""
    functions: tuple[str, ...]
    problems: tuple[Example, ...]


@functools.cache
def corpus(seed: int = SEED) -> Corpus:
    """Return the corpus of a seed; it is the same on every machine."""
    rng = random.Random(seed)
    planted_kinds = _kinds(PLANTED_PER_KIND, PLANTED_PER_LONG_KIND)
    unseen_kinds = _kinds(UNSEEN_PER_KIND, UNSEEN_PER_KIND)
    names = service_names(rng, len(planted_kinds) + len(unseen_kinds) + 2 * PLAIN_FILES)
    files = [
        settings_file(rng, name, kinds)
        for name, kinds in zip(
            names, [*planted_kinds, *unseen_kinds, *([()] * (2 * PLAIN_FILES))], strict=True
        )
    ]
    planted = files[: len(planted_kinds)]
    unseen = files[len(planted_kinds) : len(planted_kinds) + len(unseen_kinds)]
    plain = [file.text for file in files[len(planted_kinds) + len(unseen_kinds) :]]
    problems, trained = split(examples(rng), PROBLEMS, TRAIN_FUNCTIONS)
    functions = [example.prompt + example.body for example in trained]
    return Corpus(
        tuple(planted),
        tuple(unseen),
        (*plain[:PLAIN_FILES], *functions[:KEPT_FUNCTIONS]),
        (*plain[PLAIN_FILES:], *functions[KEPT_FUNCTIONS : 2 * KEPT_FUNCTIONS]),
        tuple(functions),
        tuple(problems),
    )


def _kinds(per_kind: int, per_long_kind: int) -> list[tuple[str, ...]]:
    """Return the kinds of the secrets of each file: one per file, two in a few files."""
    kinds: list[tuple[str, ...]] = []
    for kind in GENERATORS:
        count = per_long_kind if kind in LONG_KINDS else per_kind
        if kind == "database-password":
            kinds += [("email", kind)] * 2 + [(kind,)] * (count - 2)
        elif kind == "email":
            kinds += [(kind,)] * (count - 2)
        else:
            kinds += [(kind,)] * count
    return kinds


def samples(files: tuple[SettingsFile, ...], prefix: str) -> list[SensitiveSample]:
    """Return files with secrets as samples with the ids `prefix-000`, `prefix-001`, …."""
    return [
        make_sample(
            file.text,
            file.spans,
            id=f"{prefix}-{number:03d}",
            source=Source(file.path, file.text.count("\n", 0, file.spans[0][0]) + 1),
        )
        for number, file in enumerate(files)
    ]


def code_samples(texts: tuple[str, ...], prefix: str) -> list[SensitiveSample]:
    """Return code without secrets as samples."""
    return [make_sample(text, id=f"{prefix}-{number:03d}") for number, text in enumerate(texts)]
