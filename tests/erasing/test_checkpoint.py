"""Erased checkpoints: complete, with the same outputs, or not written."""

from __future__ import annotations

from pathlib import Path

import command_line
import erase_runs
import pytest
import tiny
import torch
from erase_runs import FORGET, LIMITS

from erasetest.clm import LoadOptions, encode, load_clm
from erasetest.erasing import Erasure, Lora, erase, erase_to, save_checkpoint
from erasetest.erasing.erasure_result import Step
from erasetest.erasing.trainable import TrainableModel
from erasetest.errors import BadInput


def _erasure() -> Erasure:
    step = Step(1, 0.0, 1, 0.5, 0.5, 0.0, 0.0, 1e-3, 1)
    return Erasure("codeeraser", {}, 4, 1, 1.0, None, True, (step,), LIMITS)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_checkpoint_gives_the_same_logits(family: str, tmp_path: Path) -> None:
    """After saving and loading, with its tokenizer and a card."""
    clm = tiny.reciting(family)
    erasure = erase(clm, FORGET, tiny.RETAINED, LIMITS, erase_runs.settings(max_steps=2))
    save_checkpoint(clm, tmp_path / "out", erasure, FORGET)
    again = load_clm(str(tmp_path / "out"), LoadOptions(device="cpu"))
    ids = encode(clm, FORGET)[0].ids
    torch.testing.assert_close(
        erase_runs.logits(again, ids), erase_runs.logits(clm, ids), rtol=0, atol=1e-6
    )
    assert encode(again, FORGET) == encode(clm, FORGET)
    assert again.end_tokens == clm.end_tokens
    card = (tmp_path / "out" / "README.md").read_text()
    assert "planted-0, planted-1" in card
    assert "| erased | no: " in card
    for _, text in tiny.SECRETS:
        assert text not in card


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_a_checkpoint_keeps_its_dtype(dtype: torch.dtype, tmp_path: Path) -> None:
    """Trained in float32, saved in the stored dtype."""
    clm = tiny.reciting("qwen2")
    clm.model.to(dtype).save_pretrained(tmp_path / "clm")
    clm.tokenizer.save_pretrained(tmp_path / "clm")
    clm = load_clm(str(tmp_path / "clm"), LoadOptions(device="cpu", dtype="auto"))
    erase(clm, FORGET, tiny.RETAINED, LIMITS, erase_runs.settings(max_steps=2))
    save_checkpoint(clm, tmp_path / "out", _erasure(), FORGET)
    from safetensors import safe_open

    with safe_open(tmp_path / "out" / "model.safetensors", "pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {dtype}  # noqa: SIM118
    again = load_clm(str(tmp_path / "out"), LoadOptions(device="cpu", dtype="float32"))
    assert again.stored_dtype == dtype
    ids = encode(clm, FORGET)[0].ids
    torch.testing.assert_close(
        erase_runs.logits(again, ids), erase_runs.logits(clm, ids), rtol=0, atol=1e-6
    )
    assert clm.dtype == torch.float32


def test_a_checkpoint_is_complete_or_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error between weights and tokenizer leaves no file, and the CLM unchanged."""
    clm = tiny.reciting("qwen2")
    clm.stored_dtype = torch.bfloat16
    clm.tokenizer = tiny.fresh_tokenizer("qwen2")

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(clm.tokenizer, "save_pretrained", fail)
    with pytest.raises(BadInput, match="the disk is full"):
        save_checkpoint(clm, tmp_path / "out", _erasure(), FORGET)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(clm.model, "save_pretrained", fail)
    with pytest.raises(BadInput, match="the disk is full"):
        save_checkpoint(clm, tmp_path / "out", _erasure(), FORGET)
    assert list(tmp_path.iterdir()) == []
    assert clm.dtype == torch.float32


def test_a_disk_that_fills_while_weights_are_written_is_one_line(tmp_path: Path) -> None:
    """The library that writes them raises its own error; here under a real limit of the system."""
    here = Path(__file__).parent
    script = f"""
import resource, signal, sys
sys.path[:0] = {[str(here.parent / "helpers"), str(here)]!r}
import tiny, test_checkpoint as t
from erasetest.erasing import save_checkpoint
from erasetest.errors import BadInput
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
clm = tiny.reciting("gpt2")
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    save_checkpoint(clm, {str(tmp_path / "out")!r}, t._erasure(), t.FORGET)
except BadInput as error:
    print(error)
"""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "small_disk.py").write_text(script)
    run = command_line.run("small_disk", cwd=tmp_path / "code")
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == f"cannot write {tmp_path / 'out'}: File too large"
    assert [path.name for path in tmp_path.iterdir()] == ["code"]


def test_a_checkpoint_replaces_nothing(tmp_path: Path) -> None:
    """A folder that is not empty is refused."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BadInput, match="exists already"):
        save_checkpoint(tiny.reciting("gpt2"), tmp_path, _erasure(), FORGET)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_stored_weights_are_judged(tmp_path: Path) -> None:
    """A full probe uses weights rounded to bfloat16; training continues from unrounded ones."""
    clm = tiny.reciting("qwen2")
    clm.stored_dtype = torch.bfloat16
    trainable = TrainableModel(clm, None, precision="float32", checkpointing=False, seed=0)
    before = erase_runs.weights(clm)
    with trainable.as_stored():
        inside = erase_runs.weights(clm)
    rounded = {name: w.to(torch.bfloat16).float() for name, w in before.items()}
    torch.testing.assert_close(inside, rounded, rtol=0, atol=0)
    torch.testing.assert_close(erase_runs.weights(clm), before, rtol=0, atol=0)

    clm = tiny.reciting("qwen2")
    clm.stored_dtype = torch.bfloat16
    settings = erase_runs.settings("decoys", lora=Lora(8), lr=1e-2)
    assert erase_to(tmp_path / "out", clm, FORGET, tiny.RETAINED, LIMITS, settings).erased
    back = load_clm(str(tmp_path / "out"))
    assert back.stored_dtype == torch.bfloat16
    assert erase_runs.verdicts(back) == ["pass"] * 4
