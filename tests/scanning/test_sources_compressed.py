"""Frames of zstd files."""

from __future__ import annotations

import io
import json
import zlib
from pathlib import Path

import pytest
from corpus_reading import names_and_reasons, read_corpus

from erasetest.scanning.sources.compressed import FrameReader


def frames(data: bytes) -> io.BufferedReader:
    """Return a reader of zlib streams; the decompressor has the same interface as that of zstd."""
    return io.BufferedReader(FrameReader(io.BytesIO(data), zlib.decompressobj, zlib.error))


LINES = [f"{number}\n".encode() * 99 for number in range(2000)]


@pytest.mark.parametrize("count", [1, 3, 2000])
def test_all_frames_are_read(count: int) -> None:
    data = b"".join(zlib.compress(b"".join(LINES[n::count])) for n in range(count))
    assert frames(data).read() == b"".join(b"".join(LINES[n::count]) for n in range(count))


def test_nothing_is_read_from_nothing() -> None:
    assert frames(b"").read() == b""


@pytest.mark.parametrize("cut", [1, 500])
def test_a_truncated_frame_is_reported(cut: int) -> None:
    data = zlib.compress(b"".join(LINES[:50])) + zlib.compress(b"".join(LINES[50:]))
    with pytest.raises(EOFError, match="truncated"):
        frames(data[:-cut]).read()


def test_a_broken_frame_is_reported() -> None:
    with pytest.raises(EOFError, match="broken"):
        frames(zlib.compress(b"whole") + b"nothing").read()


def test_a_bomb_is_read_as_far_as_is_asked() -> None:
    file = frames(zlib.compress(b"\n" * 50 * 2**20))
    assert file.read(10) == b"\n" * 10


def test_data_sets_of_zstd_are_read(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    rows = [json.dumps({"text": str(number)}).encode() + b"\n" for number in range(3000)]
    compress = zstandard.ZstdCompressor().compress
    data = compress(b"".join(rows[:2000])) + compress(b"".join(rows[2000:]))
    (tmp_path / "a.jsonl.zst").write_bytes(data)
    (tmp_path / "b.jsonl.zst").write_bytes(data[:-9])
    found, skipped = read_corpus(tmp_path)
    assert [text.text for text in found[:3000]] == [str(number) for number in range(3000)]
    assert len(found) >= 5000
    assert [path for path, _ in names_and_reasons(skipped)] == ["b.jsonl.zst"]
