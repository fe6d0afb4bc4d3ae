"""Erasing by a LoRA adapter."""

from __future__ import annotations

import json
from pathlib import Path

import erase_runs
import pytest
import tiny
import torch
from erase_runs import FORGET, LIMITS

from erasetest.clm import Clm, LoadOptions, encode, load_clm
from erasetest.erasing import Lora, erase_to
from erasetest.erasing.erasure_settings import learning_rate
from erasetest.erasing.trainable import TrainableModel
from erasetest.errors import BadInput


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_an_adapter_erases(family: str, tied: bool, tmp_path: Path) -> None:
    """The adapter on the original and the merged CLM give the same outputs; both are erased."""
    folder = tiny.save(tiny.reciting(family, tied=tied), tmp_path / "clm")
    found = {}
    for merge in (True, False):
        clm = load_clm(str(folder))
        settings = erase_runs.settings("decoys", lora=Lora(8, merge=merge), lr=1e-2)
        out = tmp_path / f"erased-{merge}"
        assert erase_to(out, clm, FORGET, tiny.RETAINED, LIMITS, settings).erased
        assert type(clm.model) is type(load_clm(str(folder)).model)
        found[merge] = clm
    merged = load_clm(str(tmp_path / "erased-True"))
    unmerged = load_clm(str(folder), LoadOptions(adapter=str(tmp_path / "erased-False")))
    assert not (tmp_path / "erased-False" / "model.safetensors").exists()
    config = json.loads((tmp_path / "erased-False" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (8, 16)
    cards = [(tmp_path / f"erased-{merge}" / "README.md").read_text() for merge in (True, False)]
    assert ["--clm-adapter" in card for card in cards] == [False, True]
    torch.testing.assert_close(
        erase_runs.weights(unmerged), erase_runs.weights(merged), rtol=1e-5, atol=1e-6
    )
    torch.testing.assert_close(
        erase_runs.weights(found[True]), erase_runs.weights(merged), rtol=1e-5, atol=1e-6
    )
    assert erase_runs.verdicts(merged) == ["pass"] * 4
    changed = {
        n
        for n, w in erase_runs.weights(merged).items()
        if (w - erase_runs.weights(load_clm(str(folder)))[n]).any()
    }
    assert changed
    assert not any("embed" in n or "wte" in n or "wpe" in n or "lm_head" in n for n in changed)
    assert [record.ids for record in unmerged.records] == [tuple(s.id for s in FORGET)]


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_an_adapter_is_trained_alike_under_checkpointing(family: str) -> None:
    """Inputs without gradients must not stop the gradient at recomputed layers."""
    whole = erase_runs.gradients(tiny.reciting(family), lora=Lora(4))
    assert len(whole) > 8
    assert all("lora" in name for name in whole)
    for how in ({"checkpointing": True}, {"max_tokens": 1}):
        found = erase_runs.gradients(tiny.reciting(family), lora=Lora(4), **how)  # type: ignore[arg-type]
        torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-6)


def test_the_original_is_read_with_the_adapter_disabled() -> None:
    """Whatever the adapter has learned."""
    clm = tiny.reciting("qwen2")
    ids = encode(clm, FORGET)[0].ids
    before = erase_runs.logits(clm, ids)
    trainable = TrainableModel(clm, Lora(8), precision="auto", checkpointing=False, seed=0)
    with torch.no_grad():
        for parameter in trainable.parameters:
            parameter.add_(0.1)
    assert (erase_runs.logits(clm, ids) - before).abs().max() > 0.1
    with trainable.without_adapter():
        torch.testing.assert_close(erase_runs.logits(clm, ids), before)


OTHERS = (
    "llama",
    "mistral",
    "gpt_neox",
    "starcoder2",
    "gemma",
    "phi",
    "gpt_bigcode",
    "codegen",
    "opt",
)


@pytest.mark.parametrize("family", OTHERS)
def test_adapters_find_their_layers_in_any_architecture(family: str) -> None:
    """Each linear layer except the output head gets one."""
    clm = tiny.untrained(family)
    output = clm.model.get_output_embeddings()
    linear = sum(isinstance(m, torch.nn.Linear) and m is not output for m in clm.model.modules())
    adapted = _adapted(clm)
    assert len(adapted) == linear >= 8
    assert not any("lm_head" in n or "embed_out" in n for n in adapted)


def _adapted(clm: Clm) -> list[str]:
    """Return the names of the adapters' first matrices."""
    TrainableModel(clm, Lora(2), precision="float32", checkpointing=False, seed=0)
    return [n for n, _ in clm.model.named_parameters() if "lora_A" in n]


STACKED = {"mixtral": 2, "qwen3_moe": 2, "gpt_oss": 2}
"""Families with experts, and their number of stacked matrices per layer."""


@pytest.mark.parametrize("family", STACKED)
def test_experts_get_an_adapter_too(family: str) -> None:
    """In addition to the four projections of attention, in each of two layers."""
    adapted = _adapted(tiny.untrained(family))
    assert len(adapted) == 2 * (4 + STACKED[family])
    assert sum("experts" in n for n in adapted) == 2 * STACKED[family]


@pytest.mark.parametrize("family", ["mamba", "mamba2", "falcon_mamba"])
def test_state_spaces_get_an_adapter_where_it_takes_effect(family: str) -> None:
    """Fast implementations bypass two projections: they read the weights directly."""
    adapted = _adapted(tiny.untrained(family))
    assert sum("in_proj" in n for n in adapted) == 2
    assert not any("dt_proj" in n or "out_proj" in n or "conv" in n for n in adapted)


@pytest.mark.parametrize("family", [pytest.param("mamba", marks=pytest.mark.slow), "mixtral"])
def test_an_adapter_of_any_layers_erases(family: str, tmp_path: Path) -> None:
    """Merged or beside the original, as loaded again."""
    folder = tiny.save(tiny.reciting(family), tmp_path / "clm")
    for merge in (True, False):
        settings = erase_runs.settings("decoys", lora=Lora(8, merge=merge), lr=1e-2)
        out = tmp_path / f"erased-{merge}"
        clm = load_clm(str(folder))
        assert erase_runs.verdicts(clm) == ["leak"] * 4
        assert erase_to(out, clm, FORGET, tiny.RETAINED, LIMITS, settings).erased
    merged = load_clm(str(tmp_path / "erased-True"))
    unmerged = load_clm(str(folder), LoadOptions(adapter=str(tmp_path / "erased-False")))
    torch.testing.assert_close(
        erase_runs.weights(unmerged), erase_runs.weights(merged), rtol=1e-5, atol=1e-6
    )
    assert erase_runs.verdicts(merged) == ["pass"] * 4


def test_a_rank_below_one_is_refused() -> None:
    with pytest.raises(BadInput, match=r"^the rank of a LoRA adapter must be 1 or more, got 0$"):
        Lora(0)


def test_an_adapter_as_large_as_the_layers_is_refused(tmp_path: Path) -> None:
    """Before memory is allocated for it."""
    clm = tiny.reciting("qwen2")
    settings = erase_runs.settings("decoys", lora=Lora(49))
    with pytest.raises(BadInput, match=r"its layers are 48 wide, and a LoRA adapter of rank 49"):
        erase_to(tmp_path / "out", clm, FORGET, tiny.RETAINED, LIMITS, settings)


def test_an_adapter_is_judged_merged_and_rounded() -> None:
    """As loaded again: the merged weights are rounded, not the original's before the merge."""
    clm = tiny.reciting("qwen2")
    clm.stored_dtype = torch.bfloat16
    trainable = TrainableModel(clm, Lora(8), precision="float32", checkpointing=False, seed=0)
    with torch.no_grad():
        for parameter in trainable.parameters:
            parameter.copy_(0.05 * torch.randn_like(parameter))
    ids = tuple(range(20))
    unmerged = erase_runs.logits(clm, ids)
    with trainable.as_stored():
        judged = erase_runs.logits(clm, ids)
    torch.testing.assert_close(erase_runs.logits(clm, ids), unmerged, rtol=0, atol=1e-5)
    trainable.finish()
    for weight in clm.model.parameters():
        weight.data = weight.data.to(torch.bfloat16).float()
    torch.testing.assert_close(erase_runs.logits(clm, ids), judged, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("method", "lr"), [("codeeraser", 3e-5), ("decoys", 4.8e-5)])
def test_an_adapter_learns_faster_than_whole_weights(method: str, lr: float) -> None:
    """By the method's own multiple of the paper's rate."""
    assert learning_rate(3584, method, Lora()) == pytest.approx(lr)
    assert learning_rate(48, method, Lora()) == 4e-3
