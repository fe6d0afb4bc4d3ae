"""The labelled corpus of the benchmarks: its files, its labels, and scores of scans."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from benchmarks.scan_corpus import Score, found_in_manifest, generate, score
from benchmarks.scan_corpus.base import library_pieces
from benchmarks.scan_corpus.kinds import FORMS
from benchmarks.scan_corpus.writing import files
from erasetest.demo.synthetic_secrets import GENERATORS
from erasetest.scanning import Document, find_secrets, scan_to
from erasetest.scanning.detectors import tokens

DENSE = 1000
"""Secrets per megabyte, so that a small corpus contains every kind."""


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("corpus") / "code", 0.3, secrets_per_megabyte=DENSE)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def texts(labels: Path) -> dict[str, str]:
    folder = labels.with_name("code")
    return {
        path.relative_to(folder).as_posix(): path.read_bytes().decode()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_seed_gives_the_same_corpus_again_and_another_seed_another(
    labels: Path, tmp_path: Path
) -> None:
    again = generate(tmp_path / "1" / "code", 0.3, secrets_per_megabyte=DENSE)
    other = generate(tmp_path / "2" / "code", 0.3, seed=1, secrets_per_megabyte=DENSE)
    assert texts(again) == texts(labels)
    assert rows(again) == rows(labels)
    assert not set(texts(other).values()) & set(texts(labels).values())


def test_a_smaller_corpus_is_the_beginning_of_a_larger_one(labels: Path, tmp_path: Path) -> None:
    smaller = generate(tmp_path / "code", 0.1, secrets_per_megabyte=DENSE)
    small, large = texts(smaller), texts(labels)
    assert small.items() <= large.items()
    assert 0.1e6 <= sum(len(text.encode()) for text in small.values()) < 0.16e6
    for name in ("labels.jsonl", "negatives.jsonl"):
        begun = rows(smaller.with_name(name))
        assert begun == rows(labels.with_name(name))[: len(begun)]


def test_labels_are_the_places_that_were_written_and_none_overlaps_another(labels: Path) -> None:
    written = texts(labels)
    places = defaultdict(list)
    for name in ("labels.jsonl", "negatives.jsonl"):
        for row in rows(labels.with_name(name)):
            places[row["path"]].append((row["start"], row["end"]))
    for path, spans in places.items():
        assert all(0 <= start < end <= len(written[path]) for start, end in spans)
        assert all(one[1] <= other[0] for one, other in pairwise(sorted(spans)))


def test_the_text_of_a_label_is_a_secret_of_its_kind(labels: Path) -> None:
    written = texts(labels)
    begin = {
        "anthropic-api-key": "sk-ant-",
        "aws-access-key": "AKIA",
        "private-key": "-----BEGIN ",
        "jwt": "eyJ",
        "google-oauth-client-secret": "GOCSPX-",
    }
    seen = Counter[str]()
    for row in rows(labels):
        text = written[row["path"]][row["start"] : row["end"]]
        assert text.startswith(begin.get(row["kind"], ""))
        assert text == text.strip()
        seen[row["kind"]] += 1
    assert set(begin) <= set(seen)


def test_every_kind_of_the_demo_and_of_the_detectors_is_planted() -> None:
    planted = {form.kind for form in FORMS} | {"private-key"}
    names = {str(plugin.secret_type) for plugin in tokens.plugins()}
    assert planted >= {tokens.kind_of(name) for name in names}
    assert planted >= set(GENERATORS) | {"password", "high-entropy-hex", "high-entropy-base64"}


def test_pieces_of_the_standard_library_contain_no_findings() -> None:
    found = [
        piece[one.start : one.end]
        for piece in library_pieces(0)
        for one in find_secrets(Document.of("a.py", piece))
    ]
    assert found == []


def test_files_differ_and_are_as_large_as_files_of_code() -> None:
    some = [file for file, _ in zip(files(3), range(100), strict=False)]
    assert len({file.text for file in some}) == 100
    assert all(3_000 < len(file.text) < 60_000 for file in some)
    assert {Path(file.path).suffix for file in some} >= {".py", ".js", ".ts", ".go", ".java"}


def test_a_manifest_gives_the_places_that_the_scan_found(labels: Path, tmp_path: Path) -> None:
    folder = labels.with_name("code")
    scan_to(tmp_path / "samples.jsonl", [folder])
    places = {
        (path, one.start, one.end, one.kind)
        for path, text in texts(labels).items()
        for one in find_secrets(Document.of(path, text))
    }
    found = list(found_in_manifest(tmp_path / "samples.jsonl", folder))
    assert len(found) == len(set(found))
    assert set(found) == places
    assert score(labels, found) == score(labels, sorted(places))


def write_labels(folder: Path) -> Path:
    secrets = [("a/1.py", 10, 20, "jwt"), ("a/1.py", 30, 40, "jwt"), ("b/2.py", 5, 9, "email")]
    decoys = [("a/1.py", 50, 60, "uuid"), ("b/2.py", 20, 30, "uuid"), ("c/3.py", 0, 9, "digest")]
    for name, key, places in (
        ("labels.jsonl", "kind", secrets),
        ("negatives.jsonl", "reason", decoys),
    ):
        lines = [
            json.dumps({"path": path, "start": start, "end": end, key: what})
            for path, start, end, what in places
        ]
        (folder / name).write_text("".join(line + "\n" for line in lines))
    return folder / "labels.jsonl"


def test_a_score_tells_exact_other_missed_and_false_findings_apart(tmp_path: Path) -> None:
    found = [
        ("a/1.py", 10, 20, "jwt"),
        ("a/1.py", 10, 20, "jwt"),
        ("a/1.py", 30, 39, "jwt"),
        ("a/1.py", 55, 58, "high-entropy-hex"),
        ("b/1.py", 5, 9, "email"),
        ("d/1.py", 5, 9, "email"),
    ]
    scores = score(write_labels(tmp_path), found)
    assert scores.kinds == {
        "jwt": Score(planted=2, exact=1, other=1, instead=Counter(jwt=1)),
        "email": Score(planted=1, missed=1, false=2),
        "high-entropy-hex": Score(false=1),
    }
    assert scores.kinds["jwt"].recall == 1
    assert scores.kinds["jwt"].exact_recall == 0.5
    assert scores.kinds["jwt"].precision == 1
    assert scores.kinds["email"].recall == scores.kinds["email"].precision == 0
    negatives = {reason: (one.planted, one.found) for reason, one in scores.negatives.items()}
    assert negatives == {
        "uuid": (2, Counter({"high-entropy-hex": 1})),
        "digest": (1, Counter()),
        "code around": (0, Counter(email=2)),
    }


def test_a_finding_of_another_kind_is_found_and_not_false(tmp_path: Path) -> None:
    scores = score(write_labels(tmp_path), [("b/2.py", 5, 9, "password")])
    assert scores.kinds["email"] == Score(planted=1, other=1, instead=Counter(password=1))
    assert "password" not in scores.kinds


def test_findings_out_of_order_are_refused(tmp_path: Path) -> None:
    found = [("b/2.py", 5, 9, "email"), ("a/1.py", 10, 20, "jwt")]
    with pytest.raises(ValueError, match="sort them by path"):
        score(write_labels(tmp_path), found)
