"""Files that are not regular files, or whose names are too long."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from corpus_reading import names_and_reasons, read_corpus


@pytest.mark.parametrize("name", ["x.py", "x.py.gz", "x.jsonl", "x.json.xz", "x.parquet"])
def test_a_pipe_is_named_and_not_waited_for(tmp_path: Path, name: str) -> None:
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    os.mkfifo(tmp_path / name)
    assert names_and_reasons(read_corpus(tmp_path)[1]) == [(name, "not a regular file")]
    assert names_and_reasons(read_corpus(tmp_path / name)[1]) == [(name, "not a regular file")]


def test_a_path_that_is_too_long_ends_nothing(tmp_path: Path) -> None:
    handle = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("x" * 250, dir_fd=handle)
        below = os.open("x" * 250, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    os.close(handle)
    (tmp_path / "z.py").write_text("z")
    (tmp_path / ("x" * 250) / "a.py").write_text("a")
    found, skipped = read_corpus(tmp_path)
    assert [text.text for text in found] == ["z", "a"]
    assert [reason for _, reason in skipped] == ["cannot be read: File name too long"]
