"""Writes a corpus of any size, file by file, in constant memory."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .base import Names, pieces
from .languages import LANGUAGES
from .planting import Mark, Part, Plant, negative, secret

FILES_PER_FOLDER = 500
MIN_SIZE, MAX_SIZE = 4_000, 40_000
"""Approximate minimum and maximum number of characters of a file."""

_NEGATIVES_PER_SECRET = 2
_CRLF_FRACTION = 0.03
_ENVELOPES = {
    "json": ("{\n", '  "end": null\n}\n'),
    "notebook": (
        '{\n "cells": [\n  {\n   "cell_type": "code",\n   "source": [\n    "',
        '"\n   ]\n  }\n ],\n "nbformat": 4\n}\n',
    ),
}


@dataclass(frozen=True, slots=True)
class Written:
    """A file of the corpus, and the places `(start, end, mark)` in it."""

    path: str
    text: str
    places: tuple[tuple[int, int, Mark], ...]


def generate(
    folder: Path, megabytes: float, seed: int = 0, secrets_per_megabyte: float = 60
) -> Path:
    """Write a corpus of about `megabytes` million bytes, and its labels beside the folder.

    `labels.jsonl` lists each place of a planted secret (`path` in the folder, `start` and `end` in
    code points, `kind`, `context`). `negatives.jsonl` lists each place that only looks like a
    secret (`reason` instead of `kind`). A larger corpus of the same seed starts with the same
    files.

    Returns:
        The path of `labels.jsonl`.
    """
    folder.mkdir(parents=True)
    size = 0
    labels = folder.with_name("labels.jsonl")
    with (
        labels.open("w", encoding="utf-8") as secrets,
        folder.with_name("negatives.jsonl").open("w", encoding="utf-8") as negatives,
    ):
        for file in files(seed, secrets_per_megabyte):
            path = folder / file.path
            data = file.text.encode()
            try:
                path.write_bytes(data)
            except FileNotFoundError:
                path.parent.mkdir()
                path.write_bytes(data)
            for start, end, mark in file.places:
                _write_place(secrets if mark.is_secret else negatives, file.path, start, end, mark)
            size += len(data)
            if size >= megabytes * 1e6:
                return labels
    raise AssertionError("files never end")


def _write_place(out: IO[str], path: str, start: int, end: int, mark: Mark) -> None:
    what = "kind" if mark.is_secret else "reason"
    row = {"path": path, "start": start, "end": end, what: mark.name, "context": mark.context}
    out.write(json.dumps(row, ensure_ascii=False) + "\n")


def files(seed: int, secrets_per_megabyte: float = 60) -> Iterator[Written]:
    """Yield the files of the corpus of a seed, without end."""
    names = {camel: Names(seed, camel) for camel in (False, True)}
    languages = list(LANGUAGES)
    weights = [language.weight for language in LANGUAGES.values()]
    number = 0
    while True:
        rng = random.Random(f"{seed} {number}")
        (language,) = rng.choices(languages, weights)
        folder, spec = number // FILES_PER_FOLDER, LANGUAGES[language]
        name = spec.file % f"{number:07d}_{names[False].word(rng)}"
        text, places = _file(rng, language, names[spec.camel], seed, secrets_per_megabyte)
        yield Written(f"part-{folder:05d}/{name}", text, places)
        number += 1


def _file(
    rng: random.Random, language: str, names: Names, seed: int, secrets_per_megabyte: float
) -> tuple[str, tuple[tuple[int, int, Mark], ...]]:
    code = _code(rng, language, names, seed)
    expected = sum(map(len, code)) * secrets_per_megabyte / 1e6
    plants = [plant for _ in range(_poisson(rng, expected)) for plant in secret(rng, language)]
    count = _poisson(rng, expected * _NEGATIVES_PER_SECRET)
    plants += [negative(rng, language) for _ in range(count)]
    before, after = _ENVELOPES.get(language, ("", ""))
    newline = "\r\n" if rng.random() < _CRLF_FRACTION else "\n"
    chunks, places, at = [before], [], len(before)
    for text, mark in _spread(rng, code, plants):
        if language == "notebook":
            text = _in_notebook(text)
        if newline != "\n":
            text = text.replace("\n", newline)
        if mark is not None:
            places.append((at, at + len(text), mark))
        chunks.append(text)
        at += len(text)
    return "".join((*chunks, after)), tuple(places)


def _code(rng: random.Random, language: str, names: Names, seed: int) -> list[str]:
    available = pieces(language, seed)
    code, size = [], 0
    length = MIN_SIZE * (MAX_SIZE / MIN_SIZE) ** rng.random()
    while size < length:
        code.append(names.fill(available[int(rng.random() * len(available))], rng))
        size += len(code[-1])
    return code


def _spread(rng: random.Random, code: list[str], plants: list[Plant]) -> Iterator[Part]:
    """Yield the code with each plant after a random paragraph, with the indentation there."""
    wanted = sorted((rng.random() * len(code), order) for order in range(len(plants)))
    wanted.reverse()
    for number, piece in enumerate(code):
        start = 0
        while wanted and wanted[-1][0] < number + 1:
            place, order = wanted.pop()
            found = piece.find("\n\n", max(start, int((place - number) * len(piece)) - 1))
            end = found + 2 if found >= 0 else len(piece)
            yield piece[start:end], None
            start = end
            following = piece[start:].split("\n", 1)[0] if found >= 0 else ""
            indent = following[: len(following) - len(following.lstrip(" \t"))]
            yield from _indented(plants[order], indent)
        yield piece[start:], None
        yield "\n", None


def _indented(plant: Plant, indent: str) -> Iterator[Part]:
    yield indent, None
    for text, mark in plant:
        yield text.replace("\n", "\n" + indent), mark
    yield "\n", None


def _in_notebook(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", '\\n",\n    "')


def _poisson(rng: random.Random, mean: float) -> int:
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count
