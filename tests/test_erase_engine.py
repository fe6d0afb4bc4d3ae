"""How a step is computed: in parts, in less memory, in half precision, by an adapter."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import torch

from erasetest.clm import Clm, LoadOptions, load_clm, wrap
from erasetest.erase import (
    METHODS,
    ErasureSettings,
    Lora,
    erase,
    erase_to,
    one_pass,
    own_generations,
    unchecked,
)
from erasetest.erase.lasting import Healer, Healing
from erasetest.erase.one_pass import read_step
from erasetest.erase.reference import Reference
from erasetest.erase.rows import decoy_rows, forget_rows, retained_rows
from erasetest.erase.trained import Trained
from erasetest.erase.unfinished import Unfinished
from erasetest.errors import BadInput, ErasureError
from erasetest.probes import probe
from erasetest.retained import holder
from erasetest.samples import make_sample
from erasetest.scan import Document, find_secrets
from erasetest.verdict import Thresholds, judge

LIMITS = Thresholds("test", {"ma": 0.4, "el_3": 1.0, "el_5": 1.0, "el_10": 0.1})
FORGET = tiny.PLANTED[:4]


def _settings(**changes: object) -> ErasureSettings:
    plain = {"method": "decoys", "lr": 1e-3, "max_steps": 80, "guard": None}
    return ErasureSettings(**{**plain, **changes})  # type: ignore[arg-type]


def _weights(clm: Clm) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in clm.model.state_dict().items()}


def _verdicts(clm: Clm, samples: object = FORGET) -> list[str]:
    return [judge(m, LIMITS).verdict for m in probe(clm, samples)]  # type: ignore[arg-type]


def _gradients(clm: Clm, *, limit: int | None = None, **how: object) -> dict[str, torch.Tensor]:
    """Of one step of `decoys`, by parameter."""
    import random

    settings = _settings(**how)
    rows, kept = forget_rows(clm, FORGET)[0], retained_rows(clm, tiny.RETAINED)
    decoys = decoy_rows(clm, FORGET, rows, random.Random(0))
    trained = Trained(
        clm,
        settings.lora,
        precision=settings.precision,
        checkpointing=settings.checkpointing,
        seed=0,
    )
    reference = Reference(clm, trained.head, trained.computing)
    reference.remember([*rows, *kept])
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        for parameter in trained.parameters:
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    seen = read_step(clm, reference, trained, rows, kept, decoys, limit)
    seen.backward(METHODS["decoys"].loss(seen.groups(frozenset(range(4))), settings.weights))
    return {
        name: parameter.grad.clone()
        for name, parameter in clm.model.named_parameters()
        if parameter.grad is not None
    }


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_step_in_parts_has_the_same_gradient(family: str, tied: bool) -> None:
    """Rows one by one, layers computed again, logits in slices: to rounding."""
    whole = _gradients(tiny.reciting(family, tied=tied))
    assert max(float(g.abs().max()) for g in whole.values()) > 1e-3
    for how in ({"limit": 1}, {"limit": 150}, {"checkpointing": True}, {"slices": True}):
        with pytest.MonkeyPatch.context() as patch:
            if how.pop("slices", False):
                patch.setattr(one_pass, "_SLICE", 8 * tiny.VOCABULARY)
                patch.setattr(one_pass, "_FEWEST_ROWS", 1)
            found = _gradients(tiny.reciting(family, tied=tied), **how)  # type: ignore[arg-type]
        torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-6)


def test_checkpointed_layers_are_computed_again() -> None:
    """And probes in between use their cache as ever."""
    clm = tiny.reciting("qwen2")
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    clm.model.base_model.layers[0].self_attn.register_forward_hook(count)
    _gradients(clm)
    plain = calls
    again = tiny.reciting("qwen2")
    calls = 0
    again.model.base_model.layers[0].self_attn.register_forward_hook(count)
    _gradients(again, checkpointing=True)
    assert calls > plain
    assert _verdicts(tiny.reciting("qwen2")) == ["leak"] * 4
    erasing = tiny.reciting("qwen2")
    assert erase(erasing, FORGET, tiny.RETAINED, LIMITS, _settings(checkpointing=True)).erased
    assert not any(
        getattr(layer, "gradient_checkpointing", False) for layer in erasing.model.modules()
    )


def test_where_memory_is_short_less_is_read_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Halved until it fits; what comes of it is the same."""
    plain = one_pass.hidden_states
    largest: list[int] = []

    def short(clm: Clm, ids: torch.Tensor) -> torch.Tensor | None:
        if torch.is_grad_enabled() and ids.numel() > 100:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        if torch.is_grad_enabled():
            largest.append(ids.numel())
        return plain(clm, ids)

    settings = _settings(max_steps=3)
    wanted = erase(tiny.reciting("gpt2"), FORGET, tiny.RETAINED, LIMITS, settings)
    monkeypatch.setattr(one_pass, "hidden_states", short)
    found = erase(tiny.reciting("gpt2"), FORGET, tiny.RETAINED, LIMITS, settings)
    assert max(largest) <= 100
    for name in ("loss", "retained_kl", "mean_ma"):
        values = [[getattr(step, name) for step in done.history] for done in (found, wanted)]
        assert values[0] == pytest.approx(values[1], rel=1e-3, abs=1e-4)

    def none(clm: Clm, ids: torch.Tensor) -> torch.Tensor | None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(one_pass, "hidden_states", none)
    with pytest.raises(ErasureError, match="alone does not fit in the memory of cpu"):
        erase(tiny.reciting("gpt2"), FORGET, tiny.RETAINED, LIMITS, _settings())


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_bfloat16_autocast_trains_float32_weights(family: str) -> None:
    """The original is read as training reads: the first divergence is 0."""
    clm = tiny.reciting(family)
    erasure = erase(clm, FORGET, tiny.RETAINED, LIMITS, _settings(precision="bfloat16"))
    assert erasure.erased
    assert erasure.history[0].retained_kl == pytest.approx(0, abs=1e-6)
    assert all(p.dtype == torch.float32 for p in clm.model.parameters())
    assert _verdicts(clm) == ["pass"] * 4
    with pytest.raises(BadInput, match="no precision 'half': expected one of auto, float32, bfl"):
        _settings(precision="half")


# The original, from a checkpoint in shards


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_divergence_is_that_of_two_models_on_a_sharded_checkpoint(
    family: str, tied: bool, tmp_path: Path
) -> None:
    """The retained divergence of a second step against both models, loaded from shards."""
    clm = tiny.reciting(family, tied=tied)
    clm.model.save_pretrained(tmp_path, max_shard_size="40KB")
    clm.tokenizer.save_pretrained(tmp_path)
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    original, once, twice = (load_clm(str(tmp_path)) for _ in range(3))
    erase(once, FORGET[:2], tiny.RETAINED[:2], LIMITS, _settings(max_steps=1))
    erasure = erase(twice, FORGET[:2], tiny.RETAINED[:2], LIMITS, _settings(max_steps=2))
    total, count = 0.0, 0
    for row in retained_rows(original, tiny.RETAINED[:2]):
        with torch.no_grad():
            q, p = (
                c.model(input_ids=torch.tensor([row.ids])).logits[0, :-1].double().log_softmax(-1)
                for c in (original, once)
            )
        total += float((q.exp() * (q - p)).sum())
        count += len(q)
    assert total / count > 1e-5
    assert erasure.history[1].retained_kl == pytest.approx(total / count, abs=1e-5)


# Adapters


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_an_adapter_erases(family: str, tied: bool, tmp_path: Path) -> None:
    """The adapter on the original, and the CLM it is merged into, say the same; both are erased."""
    folder = tiny.save(tiny.reciting(family, tied=tied), tmp_path / "clm")
    found = {}
    for merge in (True, False):
        clm = load_clm(str(folder))
        settings = _settings(lora=Lora(8, merge=merge), lr=1e-2)
        out = tmp_path / f"erased-{merge}"
        assert erase_to(out, clm, FORGET, tiny.RETAINED, LIMITS, settings).erased
        assert type(clm.model) is type(load_clm(str(folder)).model)
        found[merge] = clm
    merged = load_clm(str(tmp_path / "erased-True"))
    beside = load_clm(str(folder), LoadOptions(adapter=str(tmp_path / "erased-False")))
    assert not (tmp_path / "erased-False" / "model.safetensors").exists()
    torch.testing.assert_close(_weights(beside), _weights(merged), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(_weights(found[True]), _weights(merged), rtol=1e-5, atol=1e-6)
    assert _verdicts(merged) == ["pass"] * 4
    changed = {
        n for n, w in _weights(merged).items() if (w - _weights(load_clm(str(folder)))[n]).any()
    }
    assert changed
    assert not any("embed" in n or "wte" in n or "wpe" in n or "lm_head" in n for n in changed)
    assert [record.ids for record in beside.records] == [tuple(s.id for s in FORGET)]


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_an_adapter_is_trained_alike_under_checkpointing(family: str) -> None:
    """Frozen inputs must not cut the gradient off where layers are computed again."""
    whole = _gradients(tiny.reciting(family), lora=Lora(4))
    assert len(whole) > 8
    assert all("lora" in name for name in whole)
    for how in ({"checkpointing": True}, {"limit": 1}):
        found = _gradients(tiny.reciting(family), lora=Lora(4), **how)  # type: ignore[arg-type]
        torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-6)


def test_the_original_is_read_with_the_adapter_off() -> None:
    """Rows that are first needed late are read as the original CLM reads them."""
    original = tiny.reciting("qwen2")
    clm = tiny.reciting("qwen2")
    few = tiny.RETAINED
    settings = _settings(lora=Lora(8), lr=1e-2, batch=1, max_steps=12)
    erasure = erase(clm, FORGET[:1], few, LIMITS, settings)
    late = erasure.history[-1].retained_kl
    rows = retained_rows(original, few)
    assert late < max(_divergence(original, clm, row.ids) for row in rows) * 3
    assert erasure.history[0].retained_kl == pytest.approx(0, abs=1e-6)


def _divergence(original: Clm, current: Clm, ids: tuple[int, ...]) -> float:
    with torch.no_grad():
        q, p = (
            c.model(input_ids=torch.tensor([ids])).logits[0, :-1].double().log_softmax(-1)
            for c in (original, current)
        )
    return float((q.exp() * (q - p)).sum(-1).mean())


OTHERS = ("llama", "mistral", "gpt_neox", "starcoder2", "gemma", "phi")


@pytest.mark.parametrize("family", OTHERS)
def test_adapters_find_their_layers_in_any_architecture(family: str) -> None:
    """Each linear layer but the output head gets one."""
    import transformers as hf

    config = hf.AutoConfig.for_model(
        family, vocab_size=tiny.VOCABULARY, hidden_size=48, intermediate_size=96, head_dim=12,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4,
        max_position_embeddings=96, bos_token_id=0, eos_token_id=0, pad_token_id=0,
    )  # fmt: skip
    model = hf.AutoModelForCausalLM.from_config(config).eval()
    output = model.get_output_embeddings()
    linear = sum(isinstance(m, torch.nn.Linear) and m is not output for m in model.modules())
    clm = wrap(model, tiny.tokenizer("qwen2"), name=family)
    Trained(clm, Lora(2), precision="float32", checkpointing=False, seed=0)
    adapted = [n for n, _ in clm.model.named_parameters() if "lora_A" in n]
    assert len(adapted) == linear >= 8
    assert not any("lm_head" in n or "embed_out" in n for n in adapted)


def test_a_rank_that_is_none_is_refused() -> None:
    with pytest.raises(BadInput, match=r"^the rank of a LoRA adapter must be 1 or more, got 0$"):
        Lora(0)


# What is stored


def test_what_is_stored_is_what_is_judged(tmp_path: Path) -> None:
    """A full probe sees weights rounded to bfloat16; training goes on from those that are not."""
    clm = tiny.reciting("qwen2")
    clm.stored_dtype = torch.bfloat16
    trained = Trained(clm, None, precision="float32", checkpointing=False, seed=0)
    before = _weights(clm)
    with trained.as_stored():
        inside = _weights(clm)
    rounded = {name: w.to(torch.bfloat16).float() for name, w in before.items()}
    torch.testing.assert_close(inside, rounded, rtol=0, atol=0)
    torch.testing.assert_close(_weights(clm), before, rtol=0, atol=0)

    clm = tiny.reciting("qwen2")
    clm.stored_dtype = torch.bfloat16
    settings = _settings(lora=Lora(8), lr=1e-2)
    assert erase_to(tmp_path / "out", clm, FORGET, tiny.RETAINED, LIMITS, settings).erased
    back = load_clm(str(tmp_path / "out"))
    assert back.stored_dtype == torch.bfloat16
    assert _verdicts(back) == ["pass"] * 4


def test_quantized_weights_are_refused(tmp_path: Path) -> None:
    """Before anything is trained."""
    clm = tiny.reciting("gpt2")
    clm.model.config.quantization_config = {"quant_method": "gptq"}
    with pytest.raises(BadInput, match="its weights are quantized, and erasing has to change them"):
        erase_to(tmp_path / "out", clm, FORGET, tiny.RETAINED, LIMITS, _settings())
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_seen_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what is needed and what there is."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: os.terminal_size((0, 0)) and _Usage(1000))
    clm = tiny.reciting("gpt2")
    before = _weights(clm)
    with pytest.raises(BadInput, match=r"out: needs \d MB, and its disk has 0 MB left: make room"):
        erase_to(tmp_path / "out", clm, FORGET, tiny.RETAINED, LIMITS, _settings())
    torch.testing.assert_close(_weights(clm), before)


class _Usage:
    def __init__(self, free: int) -> None:
        self.free = free


# Work that is killed


_SCRIPT = """
import sys, pathlib, time
sys.path[:0] = {paths!r}
import tiny, test_erase_engine as t
from erasetest.erase.lasting import Healing
from erasetest.clm import load_clm
from erasetest.erase import erase_to
def tell(step, expected):
    print(step.step, flush=True)
    if str(step.step) == sys.argv[4]:
        time.sleep(60)  # until it is killed
erase_to(pathlib.Path(sys.argv[2]), load_clm(sys.argv[1]), t.FORGET, tiny.RETAINED, t.LIMITS,
         t._settings(**eval(sys.argv[3])), tell, keep_every=0.0)
"""


def _run(clm: Path, out: Path, how: str, kill_at: int | None = None) -> list[int]:
    """The steps of a process that erases; with `kill_at`, killed once it told of that step."""
    script = _SCRIPT.format(paths=[str(Path(__file__).parent)])
    steps = []
    with subprocess.Popen(
        [sys.executable, "-c", script, str(clm), str(out), how, str(kill_at)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            steps.append(int(line))
            if steps[-1] == kill_at:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == (0 if kill_at is None else -signal.SIGKILL)
    return steps


_LASTING = "dict(method='lasting', healing=Healing(steps=30, texts=20, tokens=300))"


@pytest.mark.parametrize(("how", "kill_at", "most"), [("dict(lr=2e-4)", 5, 80), (_LASTING, 40, 99)])
def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been(
    how: str, kill_at: int, most: int, tmp_path: Path
) -> None:
    """The same weights to the last bit, the same history, and nothing left beside them."""
    clm = tiny.save(tiny.reciting("qwen2"), tmp_path / "clm")
    whole = _run(clm, tmp_path / "whole", how)
    assert kill_at + 3 < len(whole) <= most
    _run(clm, tmp_path / "killed", how, kill_at)
    assert not (tmp_path / "killed").exists()
    assert (tmp_path / ".killed.unfinished").exists()
    rest = _run(clm, tmp_path / "killed", how)
    assert rest[0] == kill_at
    assert rest[-1] == whole[-1]
    one, other = (tmp_path / name / "model.safetensors" for name in ("whole", "killed"))
    assert one.read_bytes() == other.read_bytes()
    assert not list(tmp_path.glob(".killed*"))


def test_other_work_begins_anew(tmp_path: Path) -> None:
    """A state of other samples or settings, or one that is damaged, is not taken up."""
    kept = Unfinished(tmp_path / "out", "key", every=0.0)
    kept.write({"step": torch.tensor([3.0])})
    assert Unfinished(tmp_path / "out", "other").read() is None
    found = Unfinished(tmp_path / "out", "key").read()
    assert found is not None
    assert found["step"].tolist() == [3.0]
    kept.path.write_bytes(b"PK damaged")
    assert kept.read() is None
    kept.remove()
    assert kept.read() is None
    assert list(tmp_path.iterdir()) == []


def test_no_room_for_a_state_is_said_and_the_work_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once; nothing half-written stays."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    clm = tiny.reciting("qwen2")
    with pytest.warns(UserWarning, match="erasing goes on, but is not kept") as said:
        done = erase_to(
            tmp_path / "out", clm, FORGET, tiny.RETAINED, LIMITS, _settings(), keep_every=0.0
        )
    assert done.erased
    assert len([w for w in said if "not kept" in str(w.message)]) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


# One request after another


def test_what_was_erased_before_stays_erased(tmp_path: Path) -> None:
    """A second request checks the first one's samples, and knows of them from the checkpoint."""
    first, second = tiny.PLANTED[:2], tiny.PLANTED[2:4]
    one = tiny.reciting("qwen2")
    assert erase_to(tmp_path / "one", one, first, tiny.RETAINED, LIMITS, _settings()).erased
    clm = load_clm(str(tmp_path / "one"))
    assert unchecked(clm, second) == 2
    assert unchecked(clm, [*first, *second]) == 0
    done = erase_to(
        tmp_path / "two", clm, second, tiny.RETAINED, LIMITS, _settings(), earlier=first
    )
    assert (done.erased, done.samples, done.rechecked) == (True, 2, 2)
    back = load_clm(str(tmp_path / "two"))
    assert [record.ids for record in back.records] == [
        tuple(s.id for s in first),
        tuple(s.id for s in second),
    ]
    assert _verdicts(back, tiny.PLANTED[:4]) == ["pass"] * 4
    text = (tmp_path / "two" / "erasetest.json").read_text()
    assert json.loads(text)["schema"] == "erasetest.erasures/1"
    assert not any(secret in text for _, secret in tiny.SECRETS)


def test_an_earlier_sample_that_leaks_again_is_erased_again() -> None:
    """It is checked like the others, not trusted."""
    clm = tiny.reciting("qwen2")
    assert erase(
        clm, tiny.PLANTED[2:4], tiny.RETAINED, LIMITS, _settings(), earlier=tiny.PLANTED[:2]
    ).erased
    assert _verdicts(clm) == ["pass"] * 4


def test_one_sample_and_a_thousand_are_erased() -> None:
    """Those that do not leak cost a probe, and a place in the batch."""
    clm = tiny.reciting("qwen2")
    assert erase(clm, FORGET[:1], tiny.RETAINED, LIMITS, _settings()).erased
    assert _verdicts(clm, FORGET[:1]) == ["pass"]
    clm = tiny.reciting("qwen2")
    many = [
        replace(
            make_sample(
                s.content.reveal().replace("service", f"service {n}"),
                [(x.start + len(f" {n}"), x.end + len(f" {n}"), x.kind) for x in s.secrets],
            ),
            id=f"{s.id}-{n}",
        )
        for n in range(250)
        for s in FORGET
    ]
    assert len(many) == 1000
    done = erase(clm, many, tiny.RETAINED, LIMITS, _settings(method="codeeraser"))
    assert done.erased
    assert done.samples == 1000
    assert set(_verdicts(clm, many)) == {"pass"}


# Retained code of the CLM's own


def test_own_generations_hold_no_secret() -> None:
    """They are drawn from the CLM's own distribution, the same for a seed, and scanned."""
    clm = tiny.reciting("qwen2")
    texts = own_generations(clm, tiny.PLANTED, 20, seed=3)
    assert len(texts) == len({t.content.reveal() for t in texts}) == 20
    holds = holder(tiny.PLANTED)
    for text in texts:
        assert holds(text.content.reveal()) is None
        assert not find_secrets(Document.of("t", text.content.reveal()))
    again = own_generations(clm, tiny.PLANTED, 20, seed=3)
    assert [t.content.reveal() for t in again] == [t.content.reveal() for t in texts]
    other = own_generations(clm, tiny.PLANTED, 20, seed=4)
    assert [t.content.reveal() for t in other] != [t.content.reveal() for t in texts]
    assert erase(clm, FORGET, texts, LIMITS, _settings(max_steps=160)).erased


def test_a_clm_that_writes_the_same_over_and_over_gives_no_retained_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It says how many there are, and what to do."""
    clm = tiny.untrained("gpt2")
    monkeypatch.setattr("erasetest.erase.generated._ROUNDS", 2)
    monkeypatch.setattr("erasetest.erase.generated.find_secrets", lambda _: [1])
    with pytest.raises(ErasureError, match="of 8 texts that it wrote only 0 hold no secret"):
        own_generations(clm, (), 4)


# Erasing that lasts


def test_healing_teaches_what_the_teacher_says() -> None:
    """Taken apart the CLM is far from it; healed it is near, and says no secret."""
    clm = tiny.reciting("qwen2")
    told: list[tuple[int, float]] = []
    healing = Healing(steps=60, texts=30, tokens=400)
    done = erase(
        clm, FORGET, tiny.RETAINED, LIMITS, _settings(method="lasting", healing=healing),
        lambda step, _: told.append((step.step, step.retained_kl)) if step.healing else None,
    )  # fmt: skip
    assert len(told) == 60
    assert sum(kl for _, kl in told[:3]) > 4 * sum(kl for _, kl in told[-3:])
    assert done.settings["healing"]["steps"] == 60
    if done.erased:
        assert _verdicts(clm) == ["pass"] * 4
    else:
        assert done.ended == "a secret came back while the CLM was healed"
    with pytest.raises(BadInput, match="lasting changes every weight of the CLM"):
        _settings(method="lasting", lora=Lora(4))


def test_only_the_layers_are_taken_apart() -> None:
    """Embeddings, head and norms stay; each matrix keeps a part of what it was."""
    import random as _random

    for family in tiny.FAMILIES:
        clm = tiny.reciting(family)
        before = _weights(clm)
        healer = object.__new__(Healer)
        healer.clm, healer.healing, healer.rng = clm, Healing(noise=0.5), _random.Random(0)
        healer.take_apart()
        for name, now in _weights(clm).items():
            was = before[name]
            inner = was.ndim == 2 and not any(k in name for k in ("embed", "wte", "wpe", "lm_head"))
            assert bool((now != was).any()) is inner, name
            if inner:
                both = torch.stack([now.flatten(), was.flatten()])
                assert 0.5 < float(torch.corrcoef(both)[0, 1]) < 0.95
