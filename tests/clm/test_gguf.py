"""GGUF files are converted once, to the same numbers and the same tokens."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny
import torch

import erasetest
from erasetest.clm.gguf import gguf_checkpoint
from erasetest.errors import BadInput, ClmError, ClmWarning, MissingExtra

pytest.importorskip("gguf")

from gguf_files import write_gguf


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of the test's own."""
    monkeypatch.setenv("ERASETEST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reciting Qwen2 as a GGUF file."""
    return write_gguf(tiny.reciting("qwen2"), tmp_path_factory.mktemp("gguf") / "clm.gguf")


def test_a_file_is_the_clm_that_it_was_made_of(file: Path, cache: Path) -> None:
    """The same tokens and, to the last bits, the same logits; it is converted once."""
    from erasetest.clm import Clm

    original = tiny.reciting("qwen2")
    loaded = erasetest.load(file)
    assert isinstance(loaded, Clm)
    assert loaded.name == str(file)
    assert loaded.dequantized
    for sample in tiny.PLANTED:
        text = sample.content.reveal()
        assert loaded.tokenizer(text)["input_ids"] == original.tokenizer(text)["input_ids"]
    ids = torch.tensor([original.tokenizer(tiny.CODE[0])["input_ids"]])
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(ids).logits, original.model(ids).logits)
    (place,) = (cache / "gguf").glob("clm-*")
    before = (place / "config.json").stat().st_mtime_ns
    assert gguf_checkpoint(str(file)) == place
    assert (place / "config.json").stat().st_mtime_ns == before


def test_quantized_weights_are_used_as_the_numbers_that_they_stand_for(tmp_path: Path) -> None:
    """In eight bits the logits differ a little; erasing says what it trains."""
    original = tiny.reciting("qwen2")
    # Rows of 48 are not stored in blocks of 32: only matrices of 96 columns are quantized.
    loaded = erasetest.load(write_gguf(original, tmp_path / "q8.gguf", quantized=True))
    ids = torch.tensor([original.tokenizer(tiny.CODE[0])["input_ids"]])
    with torch.no_grad():
        difference = (loaded.model(ids).logits - original.model(ids).logits).abs().max()
    assert 0 < difference < 0.5
    thresholds = erasetest.calibrate(loaded, tiny.PLANTED)
    with pytest.warns(ClmWarning, match="q8.gguf: its quantized weights cannot be trained"):
        erasetest.erase(
            loaded, tiny.PLANTED[:1], retain=tiny.RETAINED, thresholds=thresholds, max_steps=1
        )


def test_what_is_no_gguf_file_is_named(tmp_path: Path, file: Path) -> None:
    """One line each: missing, of another format, cut off in the header or in the weights."""
    whole = file.read_bytes()
    with pytest.raises(ClmError, match=r"none\.gguf: cannot be read \(No such file"):
        erasetest.load(tmp_path / "none.gguf")
    for name, content, message in (
        ("text.gguf", b"hello", "is not a GGUF file: its first four bytes are not 'GGUF'"),
        ("header.gguf", whole[:100], "the GGUF file is cut off or damaged: download it again"),
        ("weights.gguf", whole[:-5000], "the GGUF file is cut off or damaged"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ClmError, match=message) as raised:
            erasetest.load(path)
        assert str(raised.value).startswith(str(path))
        assert "\n" not in str(raised.value)
    assert not list(tmp_path.glob("cache/gguf/*[!k]"))


def test_what_it_needs_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the extra that installs it."""
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises((MissingExtra, ValueError), match="gguf"):
        erasetest.load(file)


def test_a_full_disk_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is converted."""
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(BadInput, match="needs 0 MB, but its disk has 0 MB free"):
        erasetest.load(file)
