"""Records that are long or unusual."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpus_reading import names_and_reasons, read_corpus, write_records

from erasetest.scanning.sources import jsonl


@pytest.mark.parametrize("count", [1, 7])
def test_long_lines_at_the_start_hide_no_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(jsonl, "MAX_RECORD_SIZE", 2000)
    write_records(tmp_path / "d.jsonl", [{"text": "x" * 3000}] * count + [{"text": "last"}])
    found, skipped = read_corpus(tmp_path)
    assert [text.text for text in found] == ["last"]
    assert names_and_reasons(skipped) == [
        (f"d.jsonl#{number}", "a line longer than 0 MiB") for number in range(1, count + 1)
    ]


def test_a_number_of_many_digits_spoils_no_record(tmp_path: Path) -> None:
    write_records(tmp_path / "d.jsonl", [b'{"text": "x", "n": ' + b"1" * 5000 + b"}\n"])
    assert [text.text for text in read_corpus(tmp_path)[0]] == ["x"]
