"""Columnar data sets: other types, damaged files, and parts outside of the folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from corpus_reading import names_and_reasons, read_corpus

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

NAMES = [{"filename": "data.arrow"}]


def write_arrow(path: Path, column: Any) -> None:
    table = pyarrow.table({"content": column})
    path.parent.mkdir(parents=True, exist_ok=True)
    with pyarrow.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table)


def write_state(folder: Path, names: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "state.json").write_text(json.dumps({"_data_files": names}))
    (folder / "dataset_info.json").write_text("{}")


@pytest.mark.parametrize("kind", ["string", "large_string", "string_view", "binary", "dictionary"])
@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_texts_of_all_types_are_read(tmp_path: Path, kind: str, form: str) -> None:
    column = pyarrow.array(["a", "größe"])
    if kind == "dictionary":
        column = column.dictionary_encode()
    else:
        column = column.cast(pyarrow.type_for_alias(kind))
    if form == "parquet":
        parquet.write_table(pyarrow.table({"content": column}), tmp_path / "d.parquet")
    else:
        write_arrow(tmp_path / "data.arrow", column)
        write_state(tmp_path, NAMES)
    found, skipped = read_corpus(tmp_path)
    assert [text.text for text in found] == ["a", "größe"]
    assert skipped == []


def test_the_first_column_with_texts_is_read(tmp_path: Path) -> None:
    table = pyarrow.table({"content": [1, 2], "path": [3, 4], "text": ["a", "b"]})
    parquet.write_table(table, tmp_path / "d.parquet")
    assert [text.text for text in read_corpus(tmp_path)[0]] == ["a", "b"]


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_a_text_that_is_not_utf8_spoils_no_other(tmp_path: Path, form: str) -> None:
    column = pyarrow.array([b"a", b"na\xefve", b"\0\xff", b"b"]).view(pyarrow.string())
    if form == "parquet":
        parquet.write_table(pyarrow.table({"content": column}), tmp_path / "d.parquet")
    else:
        write_arrow(tmp_path / "data.arrow", column)
        write_state(tmp_path, NAMES)
    found, skipped = read_corpus(tmp_path)
    assert [(text.text, text.is_guessed) for text in found] == [
        ("a", False), ("naïve", True), ("b", False)
    ]  # fmt: skip
    assert [reason for _, reason in skipped] == ["binary"]


def test_places_of_texts_outside_of_a_batch_are_not_followed(tmp_path: Path) -> None:
    write_arrow(tmp_path / "data.arrow", pyarrow.array(["x" * 7] * 9))
    write_state(tmp_path, NAMES)
    data = (tmp_path / "data.arrow").read_bytes()
    ends = b"".join((7 * n).to_bytes(4, "little") for n in range(10))
    assert data.count(ends) == 1
    far = ends[:16] + (2**30).to_bytes(4, "little") + ends[20:]
    (tmp_path / "data.arrow").write_bytes(data.replace(ends, far))
    found, skipped = read_corpus(tmp_path)
    assert found == []
    assert [reason[:28] for _, reason in skipped] == ["broken: cannot be read from "]


@pytest.mark.parametrize("length", [0, 4, 100, 300])
def test_a_truncated_stream_is_named(tmp_path: Path, length: int) -> None:
    write_arrow(tmp_path / "data.arrow", pyarrow.array(["x" * 100] * 9))
    write_state(tmp_path, NAMES)
    with (tmp_path / "data.arrow").open("r+b") as file:
        file.truncate(length)
    found, skipped = read_corpus(tmp_path)
    assert found == []
    assert [reason[:7] for _, reason in skipped] == ["broken:"]


@pytest.mark.parametrize("name", ["../outside.arrow", "/dev/zero", "..", "", ".", "a/../../x"])
def test_files_elsewhere_are_not_read(tmp_path: Path, name: str) -> None:
    write_arrow(tmp_path / "outside.arrow", pyarrow.array(["secret"]))
    write_state(tmp_path / "set", [{"filename": name}])
    reason = "a part of the data set is outside of its folder, and is not read"
    assert read_corpus(tmp_path / "set")[0] == []
    assert names_and_reasons(read_corpus(tmp_path / "set")[1]) == [("set", reason)]


def test_links_in_a_data_set_are_not_followed(tmp_path: Path) -> None:
    write_arrow(tmp_path / "outside.arrow", pyarrow.array(["secret"]))
    write_state(tmp_path / "set", NAMES)
    (tmp_path / "set/data.arrow").symlink_to("../outside.arrow")
    found, skipped = read_corpus(tmp_path / "set")
    assert found == []
    assert names_and_reasons(skipped) == [("data.arrow", "a symbolic link, which is not followed")]


@pytest.mark.parametrize("splits", [["."], [".."], ["../set"], [""]])
def test_splits_that_lead_in_a_circle_are_not_followed(tmp_path: Path, splits: list[str]) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/dataset_dict.json").write_text(json.dumps({"splits": splits}))
    reason = "a part of the data set is outside of its folder, and is not read"
    assert names_and_reasons(read_corpus(tmp_path / "set")[1]) == [("set", reason)]


def test_what_does_not_belong_to_a_data_set_is_named(tmp_path: Path) -> None:
    write_arrow(tmp_path / "train/data.arrow", pyarrow.array(["a"]))
    write_state(tmp_path / "train", NAMES)
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train"]}')
    (tmp_path / "prepare.py").write_text("x = 1\n")
    (tmp_path / "train/cache.arrow").write_text("")
    found, skipped = read_corpus(tmp_path)
    assert [text.text for text in found] == ["a"]
    assert [path for path, _ in names_and_reasons(skipped)] == ["cache.arrow", "prepare.py"]
    assert {reason[:18] for _, reason in skipped} == {"beside a data set:"}
