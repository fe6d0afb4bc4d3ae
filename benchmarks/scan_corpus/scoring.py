"""Scores a scan: compares its findings with the labels of the corpus."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path, PurePosixPath

from erasetest.support.json_lines import rows

Place = tuple[str, int, int, str]
"""A path in the corpus, the start and end in code points, and a kind."""

UNPLANTED = "code around"
"""Reason label of findings in code where nothing is planted."""


@dataclass(slots=True)
class Score:
    """How well a kind is found.

    Attributes:
        planted: number of places of secrets.
        exact: number of places found with the same span and kind.
        other: number of places found with another span or kind.
        missed: number of places not found.
        false: number of findings of this kind that overlap no secret.
        instead: the kinds of the findings that are counted in `other`.
    """

    planted: int = 0
    exact: int = 0
    other: int = 0
    missed: int = 0
    false: int = 0
    instead: Counter[str] = field(default_factory=Counter)

    @property
    def recall(self) -> float:
        """Fraction of the places that are found, with any span and kind."""
        return (self.exact + self.other) / self.planted if self.planted else 1.0

    @property
    def exact_recall(self) -> float:
        """Fraction of the places that are found with the right span and kind."""
        return self.exact / self.planted if self.planted else 1.0

    @property
    def precision(self) -> float:
        """Fraction of true findings, with any span and kind, among all findings of this kind."""
        found = self.exact + self.other + self.false
        return (self.exact + self.other) / found if found else 1.0


@dataclass(slots=True)
class Negatives:
    """Places that are not secrets: the number planted, and the number found by kind."""

    planted: int = 0
    found: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores by kind, and negatives by reason."""

    kinds: dict[str, Score]
    negatives: dict[str, Negatives]


def score(labels: Path, found: Iterable[Place]) -> Scores:
    """Compare findings with the labels, and with `negatives.jsonl` beside them.

    Findings must be ordered by folder, as sorted paths are. A place that is repeated counts once.

    Raises:
        ValueError: the folders of the findings are not in order.
    """
    kinds: dict[str, Score] = defaultdict(Score)
    negatives: dict[str, Negatives] = defaultdict(Negatives)
    streams = (
        _by_folder(_places(labels, "kind")),
        _by_folder(_places(labels.with_name("negatives.jsonl"), "reason")),
        _by_folder(found),
    )
    for planted, decoys, findings in _merged(streams):
        for path in {*planted, *decoys, *findings}:
            _score_file(
                planted.get(path, set()),
                decoys.get(path, set()),
                findings.get(path, set()),
                kinds,
                negatives,
            )
    return Scores(dict(sorted(kinds.items())), dict(sorted(negatives.items())))


def found_in_manifest(manifest: Path, folder: Path) -> Iterator[Place]:
    """Yield the places of the secrets of a manifest, from a scan of this folder, each once.

    A secret may be in several samples of a file. The samples of a file must be consecutive, as a
    scan writes them.

    Raises:
        ValueError: a sample does not occur in its file.
    """
    # Raw rows, since `read_manifest` masks a part of a path that equals a secret.
    samples = (row for _, row in rows(manifest))
    for path, group in groupby(samples, key=lambda row: str(row["source"]["path"])):
        text = _text(Path(path))
        name = Path(path).relative_to(folder).as_posix()
        places: set[Place] = set()
        for row in group:
            at = _position(text, row["content"], row["source"].get("line"))
            places |= {
                (name, at + one["start"], at + one["end"], one["kind"]) for one in row["secrets"]
            }
        yield from sorted(places)


def _text(path: Path) -> str:
    # Read as bytes, which keeps line breaks unchanged.
    return path.read_bytes().decode("utf-8")


def _position(text: str, content: str, line: int | None) -> int:
    """Return the position of a sample in its file; of several, the one that contains the line."""
    at = text.find(content)
    while at >= 0:
        first = text.count("\n", 0, at) + 1
        if line is None or first <= line <= first + content.count("\n"):
            return at
        at = text.find(content, at + 1)
    raise ValueError("a sample does not occur in its file at its line")


Folder = dict[str, set[tuple[int, int, str]]]


def _places(path: Path, kind: str) -> Iterator[Place]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield row["path"], row["start"], row["end"], row[kind]


def _by_folder(places: Iterable[Place]) -> Iterator[tuple[str, Folder]]:
    last = ""
    for folder, group in groupby(places, key=lambda place: str(PurePosixPath(place[0]).parent)):
        if folder <= last:
            raise ValueError(f"places in {folder} come after places in {last}: sort them by path")
        last = folder
        files: Folder = defaultdict(set)
        for path, start, end, kind in group:
            files[path].add((start, end, kind))
        yield folder, files


def _merged(streams: Iterable[Iterator[tuple[str, Folder]]]) -> Iterator[list[Folder]]:
    """Yield for each folder the files that each stream has of it."""
    running = list(streams)
    heads = [next(stream, None) for stream in running]
    while any(heads):
        folder = min(head[0] for head in heads if head is not None)
        row: list[Folder] = []
        for number, head in enumerate(heads):
            if head is not None and head[0] == folder:
                row.append(head[1])
                heads[number] = next(running[number], None)
            else:
                row.append({})
        yield row


def _score_file(
    planted: set[tuple[int, int, str]],
    decoys: set[tuple[int, int, str]],
    findings: set[tuple[int, int, str]],
    kinds: dict[str, Score],
    negatives: dict[str, Negatives],
) -> None:
    false = set(findings)
    for place in planted:
        touching = _touching(place, findings)
        false -= touching
        one = kinds[place[2]]
        one.planted += 1
        if place in findings:
            one.exact += 1
        elif touching:
            one.other += 1
            one.instead.update({kind for _, _, kind in touching})
        else:
            one.missed += 1
    for _, _, kind in false:
        kinds[kind].false += 1
    for place in decoys:
        touching = _touching(place, false)
        reason = negatives[place[2]]
        reason.planted += 1
        reason.found.update({kind for _, _, kind in touching})
        false -= touching
    if false:
        negatives[UNPLANTED].found.update(kind for _, _, kind in false)


def _touching(
    place: tuple[int, int, str], findings: set[tuple[int, int, str]]
) -> set[tuple[int, int, str]]:
    start, end, _ = place
    return {found for found in findings if found[0] < end and start < found[1]}
