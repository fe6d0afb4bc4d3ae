"""Steps in parts, with gradient checkpointing, in half precision."""

from __future__ import annotations

import itertools
from typing import Any

import erase_runs
import pytest
import tiny
import torch
from erase_runs import FORGET, LIMITS

from erasetest.clm import Clm
from erasetest.erasing import erase, forward, step_runner
from erasetest.erasing.forward import StepOutput
from erasetest.errors import BadInput, ErasureError
from erasetest.verdict import Thresholds


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_step_in_parts_has_the_same_gradient(family: str, tied: bool) -> None:
    """Examples one by one, with checkpointing, logits in slices: equal up to rounding."""
    whole = erase_runs.gradients(tiny.reciting(family, tied=tied))
    assert max(float(g.abs().max()) for g in whole.values()) > 1e-3
    for how in ({"max_tokens": 1}, {"max_tokens": 150}, {"checkpointing": True}, {"slices": True}):
        with pytest.MonkeyPatch.context() as patch:
            if how.pop("slices", False):
                patch.setattr(forward, "MAX_LOGITS", 8 * tiny.VOCABULARY)
                patch.setattr(forward, "MIN_TOKENS", 1)
            found = erase_runs.gradients(tiny.reciting(family, tied=tied), **how)  # type: ignore[arg-type]
        # Relative to the largest gradient: terms many times larger than their sum cancel.
        largest = max(float(g.abs().max()) for g in whole.values())
        torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-7 * largest)


def test_checkpointed_layers_are_recomputed() -> None:
    """Probes in between still use their KV cache."""
    clm = tiny.reciting("qwen2")
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    clm.model.base_model.layers[0].self_attn.register_forward_hook(count)
    erase_runs.gradients(clm)
    plain = calls
    again = tiny.reciting("qwen2")
    calls = 0
    again.model.base_model.layers[0].self_attn.register_forward_hook(count)
    erase_runs.gradients(again, checkpointing=True)
    assert calls > plain
    assert erase_runs.verdicts(tiny.reciting("qwen2")) == ["leak"] * 4
    erased = tiny.reciting("qwen2")
    assert erase(
        erased,
        FORGET,
        tiny.RETAINED,
        LIMITS,
        erase_runs.settings("decoys", checkpointing=True),
    ).erased
    assert not any(
        getattr(layer, "gradient_checkpointing", False) for layer in erased.model.modules()
    )


def test_out_of_memory_reduces_the_tokens_per_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Halved until it fits; the result is the same."""
    plain, read = forward.hidden_states, step_runner.forward_step
    largest: list[int] = []
    limits: list[int | None] = []

    def limited(*given: Any) -> StepOutput:
        limits.append(given[6])
        return read(*given)

    def short(clm: Clm, ids: torch.Tensor) -> torch.Tensor | None:
        if torch.is_grad_enabled() and ids.numel() > 100:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        if torch.is_grad_enabled():
            largest.append(ids.numel())
        return plain(clm, ids)

    settings = erase_runs.settings("decoys", max_steps=3)
    wanted = erase(tiny.reciting("gpt2"), FORGET, tiny.RETAINED, LIMITS, settings)
    monkeypatch.setattr(forward, "hidden_states", short)
    monkeypatch.setattr(step_runner, "forward_step", limited)
    found = erase(tiny.reciting("gpt2"), FORGET, tiny.RETAINED, LIMITS, settings)
    assert max(largest) <= 100
    tried = list(dict.fromkeys(limits))
    assert tried[0] is None
    assert len(tried) > 2
    assert all(n == m // 2 for m, n in itertools.pairwise(tried[1:]) if m and n)
    for name in ("loss", "retained_kl", "mean_ma"):
        values = [[getattr(step, name) for step in done.history] for done in (found, wanted)]
        assert values[0] == pytest.approx(values[1], rel=1e-3, abs=1e-4)

    def none(clm: Clm, ids: torch.Tensor) -> torch.Tensor | None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(forward, "hidden_states", none)
    with pytest.raises(ErasureError, match="alone does not fit in the memory of cpu"):
        erase(
            tiny.reciting("gpt2"),
            FORGET,
            tiny.RETAINED,
            LIMITS,
            erase_runs.settings("decoys"),
        )


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_bfloat16_autocast_trains_float32_weights(family: str) -> None:
    """The original CLM is read in the same precision: the first divergence is 0."""
    clm = tiny.reciting(family)
    erasure = erase(
        clm,
        FORGET,
        tiny.RETAINED,
        LIMITS,
        erase_runs.settings("decoys", precision="bfloat16"),
    )
    assert erasure.erased
    assert erasure.history[0].retained_kl == pytest.approx(0, abs=1e-6)
    assert all(p.dtype == torch.float32 for p in clm.model.parameters())
    assert erase_runs.verdicts(clm) == ["pass"] * 4
    with pytest.raises(BadInput, match="no precision 'half': expected one of auto, float32, bfl"):
        erase_runs.settings("decoys", precision="half")


def test_recomputed_layers_apply_no_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    """OPT's layers call dropout directly, not by a submodule: an unchanged CLM has divergence 0."""
    import transformers as hf

    # An untrained CLM recites nothing: without this, nothing would be erased.
    monkeypatch.setattr("erasetest.erasing.stopping.is_guessable", lambda _: False)

    sizes = {"hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    like = tiny.reciting("gpt2")
    torch.manual_seed(0)
    config = hf.OPTConfig(
        vocab_size=like.model.config.vocab_size, word_embed_proj_dim=32, dropout=0.5,
        attention_dropout=0.5, max_position_embeddings=like.window, **sizes,
    )  # fmt: skip
    clm = Clm.from_model(
        hf.AutoModelForCausalLM.from_config(config).eval(), like.tokenizer, name="opt"
    )
    settings = erase_runs.settings("codeeraser", checkpointing=True, max_steps=1)
    done = erase(clm, FORGET, tiny.RETAINED, Thresholds("t", {"ma": -1.0}), settings)
    assert done.history[0].retained_kl == pytest.approx(0, abs=1e-6)
