"""Reports of a real tiny CLM: the keys of the contract, both formats, reading one back."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import tiny
from report_documents import copied

from erasetest.errors import BadInput, ManifestError
from erasetest.reports import SCHEMA, Report, write_report
from erasetest.reports.leakage_report import sample_rows
from erasetest.reports.markdown import markdown
from erasetest.reports.write import check_report_path


def test_the_contracts_keys(document: dict[str, Any]) -> None:
    """Every key of the contract is present, in order; others may occur between them."""
    contract = "schema verdict clm thresholds samples erasure attacks utility environment"
    assert [key for key in document if key in contract.split()] == contract.split()
    assert document["schema"] == SCHEMA == "erasetest.leakage-report/1"
    clm = ["name", "family", "fingerprint", "parameters", "dtype", "device"]
    assert list(document["clm"]) == clm
    for row in document["samples"]:
        assert {"id", "kinds", "source", "verdict", "measures", "after"} <= set(row)
        assert row["after"] is None or {"verdict", "measures"} <= set(row["after"])
    erasure = {"method", "checkpoint", "samples", "steps", "seconds", "peak_memory_bytes"}
    assert erasure | {"history"} <= set(document["erasure"])
    utility = {"problems", "samples_per_problem", "before", "after", "delta", "margin", "verdict"}
    assert utility <= set(document["utility"])
    assert {"mean", "lower_95"} <= set(document["utility"]["delta"]["pass@1"])
    assert {"pass@1"} <= set(document["utility"]["before"]) & set(document["utility"]["after"])


def test_an_empty_report_is_incomplete() -> None:
    """Without results, nothing is proven."""
    document = Report(clm={"name": "m"}).as_dict()
    assert document["verdict"] == "incomplete"
    assert document["erasure"] is None
    assert document["utility"] is None
    assert document["attacks"] == document["samples"] == []


def test_rows_of_samples(document: dict[str, Any]) -> None:
    """In the manifest's order, the worst secret's values; what was not measured is inconclusive."""
    rows = document["samples"]
    assert [row["id"] for row in rows] == [*(sample.id for sample in tiny.PLANTED), "elsewhere"]
    assert rows[0]["verdict"] == "leak"
    assert rows[0]["measures"]["extracted"] is True
    assert rows[0]["measures"]["ma"] == 1.0
    assert rows[0]["kinds"] == ["aws-access-key"]
    assert rows[0]["source"] is None
    assert [row["after"] is not None for row in rows] == [True] * 2 + [False] * 7
    assert rows[-1]["verdict"] == "inconclusive"
    assert rows[-1]["measures"] == {}
    assert rows[-1]["source"] == {"path": "a/b.py", "line": 7}


def test_a_sample_that_was_not_judged_is_inconclusive() -> None:
    """It does not pass, and its row has no measures."""
    (row,) = sample_rows(tiny.PLANTED[:1], {}, {})
    assert row["verdict"] == "inconclusive"
    assert row["measures"] == {}


def test_no_format_holds_a_secret(document: dict[str, Any], tmp_path: Path) -> None:
    """Neither whole nor in runs of eight characters."""
    text = json.dumps(document, ensure_ascii=False) + markdown(document)
    for _, secret in tiny.SECRETS:
        parts = {secret[i : i + 8] for i in range(len(secret) - 7)} - {"internal", ".interna"}
        assert not [part for part in parts if part in text]


def test_json_reads_back_as_it_was(document: dict[str, Any], tmp_path: Path) -> None:
    """Also if ids and paths are not ASCII; no other file is left in the folder."""
    path = tmp_path / "r.json"
    odd = copied(document, clm={**document["clm"], "name": "modèle → 模型"})
    write_report(path, odd)
    assert Report.read(path).as_dict() == odd
    assert "模型" in path.read_text(encoding="utf-8")
    assert [file.name for file in tmp_path.iterdir()] == ["r.json"]


def test_a_report_is_replaced_whole_or_kept(document: dict[str, Any], tmp_path: Path) -> None:
    """A document that cannot be written leaves the older file, and nothing beside it."""
    path = tmp_path / "r.json"
    write_report(path, document)
    older = path.read_bytes()
    with pytest.raises((BadInput, TypeError)):
        write_report(path, {**document, "environment": {"python": object()}})
    assert path.read_bytes() == older
    assert [file.name for file in tmp_path.iterdir()] == ["r.json"]
    write_report(path, {**document, "verdict": "clean"})
    assert Report.read(path).verdict == "clean"


def _refuse_constant(name: str) -> float:
    raise AssertionError(f"{name} is not JSON")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_written_as_null(
    document: dict[str, Any], tmp_path: Path, value: float
) -> None:
    """A NaN or infinite measure is reported, in a file that any JSON parser reads."""
    rows = [dict(row) for row in document["samples"]]
    rows[0] = {**rows[0], "verdict": "inconclusive", "measures": {"ma": value}}
    write_report(tmp_path / "r.json", {**document, "samples": rows})
    text = (tmp_path / "r.json").read_text()
    read = json.loads(text, parse_constant=_refuse_constant)
    assert read["samples"][0]["verdict"] == "inconclusive"
    assert read["samples"][1:] == document["samples"][1:]


@pytest.mark.parametrize("name", ["r", "r.txt", "r.JSON", "r.json.gz", ".md", "r."])
def test_an_unknown_suffix_is_refused(document: dict[str, Any], tmp_path: Path, name: str) -> None:
    """In one line that names the file and the suffixes there are; nothing is written."""
    with pytest.raises(BadInput) as caught:
        write_report(tmp_path / name, document)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for part in (str(tmp_path / name), ".json", ".md"):
        assert part in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".json", ".md"])
def test_a_path_that_cannot_be_written_is_refused(
    document: dict[str, Any], tmp_path: Path, suffix: str
) -> None:
    """A folder, and a folder that does not exist."""
    (tmp_path / f"folder{suffix}").mkdir()
    for path, reason in [
        (tmp_path / f"folder{suffix}", "is a folder"),
        (tmp_path / "none" / f"r{suffix}", "does not exist"),
    ]:
        with pytest.raises(BadInput, match=reason):
            check_report_path(path)
        with pytest.raises(BadInput, match=reason):
            write_report(path, document)
    assert [path.name for path in tmp_path.iterdir()] == [f"folder{suffix}"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[]", "expected schema"),
        (b"null", "expected schema"),
        (b'{"schema": "erasetest.leakage-report/2"}', "expected schema"),
        (b'{"schema": ["erasetest.leakage-report/1"]}', "expected schema"),
        (b'{"verdict": "clean"}', "expected schema"),
        pytest.param(b"[" * 100_000, "is not JSON", id="nested"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    """In one line that names the file."""
    path = tmp_path / "r.json"
    path.write_bytes(content)
    with pytest.raises(ManifestError) as caught:
        Report.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert reason in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_report_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Missing, a folder, or without permission."""
    locked = tmp_path / "locked.json"
    locked.write_text("{}")
    locked.chmod(0)
    paths = [tmp_path / "none.json", tmp_path, *([] if os.access(locked, os.R_OK) else [locked])]
    for path in paths:
        with pytest.raises(ManifestError, match="cannot be read") as caught:
            Report.read(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("left_out", ["verdict", "samples", "clm", "problems", "environment"])
def test_a_report_that_lacks_a_part_is_refused(
    document: dict[str, Any], tmp_path: Path, left_out: str
) -> None:
    """With the reason."""
    rows = {key: value for key, value in document.items() if key != left_out}
    (tmp_path / "r.json").write_text(json.dumps(rows))
    with pytest.raises(BadInput, match=left_out):
        Report.read(tmp_path / "r.json").write(tmp_path / "r.md")
