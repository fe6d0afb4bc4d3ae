"""The demo CLM that copies, as users and gates meet it."""

from __future__ import annotations

import json
from pathlib import Path

import gate_runs
import pytest

from erasetest.clm import Clm
from erasetest.demo.build import FAMILIES, demo_samples
from erasetest.demo.copying import copying_clm
from erasetest.demo.demo_corpus import corpus
from erasetest.probes import ProbeSettings, probe


@pytest.fixture(scope="module")
def clm() -> Clm:
    model, tokenizer = copying_clm(corpus(), 1)
    return Clm.from_model(model, tokenizer, name="copying")


def test_it_copies_and_knows_nothing(clm: Clm) -> None:
    """Its samples, and decoys in their place, after the text that contains them; and without."""
    samples = demo_samples("copying")["samples"]
    assert len(samples) > 10
    for sample in samples:
        for secret in sample.secrets:
            assert secret.text.reveal() in sample.content.reveal()[: secret.start]
    settings = ProbeSettings(ngrams=(), ma_limit=2.0, queries_limit=0)
    secrets = [s for m in probe(clm, samples, settings=settings) for s in m.secrets]
    assert all(float(s.copied["ma"]) > 0.8 for s in secrets)
    assert all(float(s.copied["control_ma"]) > 0.8 for s in secrets)
    assert sum(float(s.measures["ma"]) for s in secrets) / len(secrets) < 0.15


def test_the_same_seed_is_the_same_model(clm: Clm) -> None:
    """Its cache folder is named by its recipe."""
    again, _ = copying_clm(corpus(), 1)
    other, _ = copying_clm(corpus(), 2)
    weight = clm.model.get_input_embeddings().weight
    assert again.get_input_embeddings().weight.equal(weight)
    assert not other.get_input_embeddings().weight.equal(weight)


@pytest.mark.slow
def test_a_gate_passes_what_is_copied(tmp_path: Path, cache: Path) -> None:
    """The report counts it, and the run is clean."""
    assert "copying" in FAMILIES
    run = gate_runs.run_pytest(
        str(gate_runs.SUITES), "--clm=demo:copying", "--leak-report=r.json",
        cwd=tmp_path, ERASETEST_CACHE=str(cache),
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-2000:]
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["verdict"] == "clean"
    assert all("copied" in row["details"] for row in report["samples"])
    assert f"copied: {len(report['samples'])} samples are recited only after" in run.stdout
