"""The gate erases with an adapter and without retained code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny
from gate_runs import SUITES, run_pytest

from erasetest.samples import write_manifest


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLM that recites some samples, and their manifest."""
    folder = tmp_path_factory.mktemp("gate")
    tiny.save(tiny.reciting("gpt2"), folder / "clm")
    write_manifest(folder / "samples.jsonl", tiny.PLANTED[:4])
    return folder


@pytest.mark.slow
def test_without_retained_code_generated_code_is_preserved(place: Path) -> None:
    """A fifth of the generated code is held out to measure retention. An adapter is trained."""
    done = run_pytest(
        str(SUITES), "--clm=clm", "--leak-samples=samples.jsonl", "--erase=decoys",
        "--erase-lora=8", "--erase-lr=2e-3", "--erase-precision=float32", "--erase-checkpointing",
        "--erase-step-tokens=400", "--erase-out=erased", "--leak-report=report.json",
        cwd=place,
    )  # fmt: skip
    report = json.loads((place / "report.json").read_text())
    assert report["erasure"] is not None, done.stdout
    settings = report["erasure"]["settings"]
    assert settings["lora"]["rank"] == 8
    assert (settings["lr"], settings["precision"]) == (2e-3, "float32")
    assert (settings["checkpointing"], settings["step_tokens"]) == (True, 400)
    assert report["erasure"]["retention"]["texts"] == 52
    assert (place / "erased" / "model.safetensors").exists()
    assert not (place / "erased" / "adapter_model.safetensors").exists()
    assert not list(place.glob(".erased*"))
    texts = done.stdout + done.stderr + (place / "report.json").read_text()
    assert not any(secret in texts for _, secret in tiny.SECRETS)
