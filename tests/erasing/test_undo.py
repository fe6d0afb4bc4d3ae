"""Erasing that lasts."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import erase_runs
import pytest
import tiny
import torch
from erase_runs import FORGET, LIMITS

from erasetest.clm import Clm, encode
from erasetest.clm.batching import pad_right
from erasetest.erasing import Lora, erase, step_runner, undo
from erasetest.erasing.erase_evaluation import EraseEvaluator
from erasetest.erasing.erasure_result import HARMED
from erasetest.erasing.examples import TokenizedExample, forget_examples, retained_examples
from erasetest.erasing.forward import StepOutput, read_step
from erasetest.erasing.retention_guard import RetentionGuard
from erasetest.erasing.self_generated import self_generated_texts
from erasetest.erasing.trainable import TrainableModel
from erasetest.erasing.undo import Distillation, Distiller
from erasetest.errors import BadInput, ErasureError
from erasetest.probes import probe
from erasetest.samples import SensitiveSample, make_sample
from erasetest.support.optimizers import cosine_schedule, hidden_matrices


def test_healing_teaches_what_the_teacher_says() -> None:
    """Taken apart the CLM is far from it; healed it is near, and says no secret."""
    clm = tiny.reciting("qwen2")
    told: list[tuple[int, float]] = []
    healing = Distillation(steps=60, texts=30, tokens=400)
    done = erase(
        clm, FORGET, tiny.RETAINED, LIMITS, erase_runs.settings(method="lasting", healing=healing),
        lambda step, _: told.append((step.step, step.retained_kl)) if step.healing else None,
    )  # fmt: skip
    assert len(told) == 60
    assert sum(kl for _, kl in told[:3]) > 4 * sum(kl for _, kl in told[-3:])
    assert done.settings["healing"]["steps"] == 60
    assert done.erased
    assert erase_runs.verdicts(clm) == ["pass"] * 4
    assert done.retained_fall < 0.05
    with pytest.raises(BadInput, match="lasting changes every weight of the CLM"):
        erase_runs.settings(method="lasting", lora=Lora(4))


def _relearned(clm: Clm) -> float:
    """MA of each half of the forget set once the other was trained on, in all."""
    total = 0.0
    for half, rest in ((FORGET[::2], FORGET[1::2]), (FORGET[1::2], FORGET[::2])):
        taught = copy.copy(clm)
        taught.model = copy.deepcopy(clm.model)
        rows = [row.ids for row in forget_examples(clm, half)[0]]
        ids, labels = (pad_right(rows, filler, clm.device) for filler in (clm.start_token, -100))
        optimizer = torch.optim.AdamW(taught.model.requires_grad_(True).parameters(), lr=1e-3)
        for _ in range(8):
            taught.model(input_ids=ids, labels=labels).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        total += sum(float(found.measures["ma"]) for found in probe(taught, rest))
    return total


def test_relearning_brings_back_less_of_what_was_taken_apart() -> None:
    """Than of what was suppressed by the same method alone."""
    back = {}
    healing = Distillation(noise=0.6, steps=120, texts=60, tokens=400)
    for method in ("decoys", "lasting"):
        clm = tiny.reciting("qwen2")
        settings = erase_runs.settings(method, healing=healing)
        assert erase(clm, FORGET, tiny.RETAINED, LIMITS, settings).erased
        back[method] = _relearned(clm)
    assert back["lasting"] < 0.8 * back["decoys"]


def test_only_the_layers_are_taken_apart() -> None:
    """Embeddings, head and norms stay; each matrix keeps a part of what it was."""
    import random as _random

    for family in tiny.FAMILIES:
        clm = tiny.reciting(family)
        before = erase_runs.weights(clm)
        healer = object.__new__(Distiller)
        healer.clm, healer.healing, healer.rng = clm, Distillation(noise=0.5), _random.Random(0)
        healer.add_noise()
        for name, now in erase_runs.weights(clm).items():
            was = before[name]
            inner = was.ndim == 2 and not any(k in name for k in ("embed", "wte", "wpe", "lm_head"))
            assert bool((now != was).any()) is inner, name
            if inner:
                both = torch.stack([now.flatten(), was.flatten()])
                assert 0.5 < float(torch.corrcoef(both)[0, 1]) < 0.95


def test_embeddings_and_heads_of_any_name_stay_whole() -> None:
    """By what they are in the model: a head may be called as a layer is."""
    for tied in (True, False):
        inner = hidden_matrices(tiny.model("gpt_neox", tied=tied))
        assert any("dense_4h_to_h" in name for name in inner)
        assert not any(name.startswith("embed_out") or "embed_in" in name for name in inner)
    model = tiny.model("qwen2", tied=False)
    model.output = model.lm_head
    del model.lm_head
    model.get_output_embeddings = lambda: model.output  # type: ignore[method-assign]
    assert "output.weight" in dict(model.named_parameters())
    assert "output.weight" not in hidden_matrices(model)


@pytest.mark.parametrize("clipped", [True, False])
def test_gradients_of_healing_are_clipped(clipped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """To a norm of 1 over all parameters: one odd step would outweigh the momentum of many."""
    norms: list[float] = []

    class Watching(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            grads = [p.grad for group in self.param_groups for p in group["params"]]
            norms.append(float(torch.stack([g.norm() for g in grads if g is not None]).norm()))

    def watched(model: torch.nn.Module, *_: float) -> list[torch.optim.Optimizer]:
        optimizer = Watching(model.parameters(), lr=0.0)
        optimizer.param_groups[0]["peak"] = 0.0
        return [optimizer]

    if not clipped:
        monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: None)
    monkeypatch.setattr(undo, "make_optimizers", watched)
    healer = _healer(tiny.reciting("qwen2"))
    healer.healing = replace(healer.healing, noise=0.9)
    healer.distill()
    assert (max(norms) < 1.001) is clipped


def _healer(clm: Clm, samples: Sequence[SensitiveSample] = FORGET) -> Distiller:
    trained = TrainableModel(clm, None, precision="auto", checkpointing=False, seed=0)
    rows, kept = forget_examples(clm, samples)[0], retained_examples(clm, tiny.RETAINED)
    healing = Distillation(steps=3, texts=4, tokens=300)
    return Distiller(clm, trained, samples, kept, rows, healing, 0, None, lambda _: None)


def test_nothing_that_it_is_healed_on_holds_a_secret() -> None:
    """Samples are read with decoys in the places of their secrets."""
    clm = tiny.reciting("qwen2")
    healer = _healer(clm)
    assert healer.files
    told = clm.tokenizer.decode(list(forget_examples(clm, FORGET)[0][0].ids))
    assert tiny.SECRETS[0][1] in told
    for row in [*healer.files, *healer.code]:
        text = clm.tokenizer.decode(list(row.ids))
        assert not any(secret in text for _, secret in tiny.SECRETS[:4])


def test_a_step_of_healing_is_code_and_a_share_of_samples_with_decoys() -> None:
    """A fifth of its tokens, about; texts are begun with retained code."""
    healer = _healer(tiny.reciting("qwen2"))
    h = healer.healing
    read: list[TokenizedExample] = []

    def heard(*given: Any) -> StepOutput:
        read.extend(given[4])
        return read_step(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step_runner, "read_step", heard)
        healer.distill()
    tokens = {
        name: sum(len(row.ids) for row in read if row in pool) / h.steps
        for name, pool in (("files", healer.files), ("code", healer.code))
    }
    longest = max(len(row.ids) for row in [*healer.files, *healer.code])
    for name, share in (("files", h.decoys), ("code", 1 - h.decoys)):
        assert share * h.tokens <= tokens[name] < share * h.tokens + longest


def test_texts_to_heal_on_are_begun_with_retained_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """With some tokens of each, so that what it never writes by itself is among them."""
    given: list[Sequence[int]] = []

    def own(*asked: Any, openings: Sequence[Sequence[int]], **how: Any) -> list[SensitiveSample]:
        given.extend(openings)
        return self_generated_texts(*asked, openings=openings, **how)

    monkeypatch.setattr(undo, "self_generated_texts", own)
    clm = tiny.reciting("qwen2")
    _healer(clm)
    kept = [row.ids for row in retained_examples(clm, tiny.RETAINED)]
    assert len(given) == len(kept)
    for opening, ids in zip(given, kept, strict=True):
        assert 1 <= len(opening) <= 16
        assert tuple(opening) == ids[: len(opening)]


def test_texts_to_heal_on_are_followed_by_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the healed CLM would go on where the teacher ends: its own texts, and samples too."""
    texts = [make_sample(f"value_{n} = {n}\n", id=f"own-{n}") for n in range(3)]
    monkeypatch.setattr(undo, "self_generated_texts", lambda *_, **__: texts)
    clm = tiny.reciting("qwen2")
    healer = _healer(clm)
    known = {row.ids for row in healer.code}
    for encoded in encode(clm, texts):
        assert {(*encoded.ids, end) for end in clm.end_tokens} & known
        assert encoded.ids not in known
    assert healer.files
    assert all(row.ids[-1] in clm.end_tokens for row in healer.files)


def test_a_loss_that_is_no_number_again_and_again_ends_healing() -> None:
    """And says at which step, and what to do."""
    healer = _healer(tiny.reciting("qwen2"))
    healer.healing = replace(healer.healing, steps=12, matrix_lr=1e20, other_lr=1e20, warmup=1)
    said = r"the loss is no number at step [5-9] of healing: nothing was saved; choose another"
    with pytest.raises(ErasureError, match=said):
        healer.distill()


def _breaking(monkeypatch: pytest.MonkeyPatch, broken: int) -> list[float]:
    """Let a step leave weights that are no numbers; the rates of all steps."""
    rates: list[float] = []
    plain = undo.take_step

    def stepped(of: Clm, optimizers: list[torch.optim.Optimizer]) -> None:
        rates.append(optimizers[0].param_groups[0]["lr"])
        plain(of, optimizers)
        if len(rates) == broken:
            for parameter in of.model.parameters():
                parameter.data += math.nan

    monkeypatch.setattr(undo, "take_step", stepped)
    return rates


def test_healing_comes_back_from_a_loss_that_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the weights of before, at half the rates; and a killed run goes on at these."""
    rates = _breaking(monkeypatch, 2)
    healer, other = (_healer(tiny.reciting("qwen2")) for _ in range(2))
    for one in (healer, other):
        one.healing = replace(one.healing, steps=5, warmup=1)
    told: list[int] = []
    states: list[dict[str, Any]] = []
    healer.distill(
        lambda step, _: told.append(step), None, lambda state: states.append(copy.deepcopy(state))
    )
    assert told == [1, 2, 4, 5]
    assert all(p.isfinite().all() for p in healer.trained.parameters)
    wanted = [(0, 1.0), (1, 1.0), (3, 0.5), (4, 0.5)]
    peak = healer.healing.matrix_lr
    assert rates == pytest.approx(
        [peak * share * cosine_schedule(step, 5, 1) for step, share in wanted]
    )
    fourth = states[2]
    weights = fourth["parameters"]
    other.distill(None, fourth)
    assert rates[4:] == rates[3:4]
    assert other.good.restored == 1
    torch.testing.assert_close(other.good.weights, weights)


def test_what_the_last_step_of_healing_broke_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other step sees it."""
    healer = _healer(tiny.reciting("qwen2"))
    _breaking(monkeypatch, healer.healing.steps)
    healer.distill()
    assert all(p.isfinite().all() for p in healer.trained.parameters)
    assert healer.good.restored == 1


def test_healing_reads_less_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step in parts has the same gradient; a text that does not fit alone is said."""
    whole = tiny.reciting("qwen2")
    _healer(whole).distill()
    clm = tiny.reciting("qwen2")
    healer = _healer(clm)
    asked: list[int | None] = []

    def limited(*given: Any) -> StepOutput:
        asked.append(given[6])
        if given[6] is None or given[6] > 150:
            raise torch.OutOfMemoryError
        return read_step(*given)

    monkeypatch.setattr(step_runner, "read_step", limited)
    healer.distill()
    assert asked[0] is None
    assert healer.reader.limit is not None
    assert healer.reader.limit <= 150
    for name, weight in erase_runs.weights(clm).items():
        torch.testing.assert_close(weight, erase_runs.weights(whole)[name], rtol=1e-3, atol=1e-4)
    monkeypatch.setattr(step_runner, "read_step", lambda *_: exec("raise MemoryError"))
    with pytest.raises(ErasureError, match="tokens alone does not fit in the memory of cpu"):
        healer.distill()


def test_what_harmed_retained_code_is_not_healed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Healing teaches what the suppressed CLM says, harm and all."""
    healed: list[object] = []
    monkeypatch.setattr(Distiller, "distill", lambda *given: healed.append(given))
    monkeypatch.setattr(RetentionGuard, "fall", lambda _: 0.5)
    settings = erase_runs.settings("lasting", guard=0.1)
    done = erase(tiny.reciting("qwen2"), FORGET, tiny.RETAINED, LIMITS, settings)
    assert done.ended == HARMED
    assert healed == []


def test_the_teacher_stays_the_suppressed_clm() -> None:
    """Whatever becomes of the weights, its head among them."""
    clm = tiny.reciting("qwen2")
    healer = _healer(clm)
    row = healer.code[0]
    places = [torch.arange(len(row.ids) - 1)]
    before = healer.reader.reference.logits(healer.reader.reference.states([row], places)).clone()
    with torch.no_grad():
        for parameter in clm.model.parameters():
            parameter.mul_(1.5)
    after = healer.reader.reference.logits(healer.reader.reference.states([row], places))
    torch.testing.assert_close(after, before, rtol=0, atol=0)


@pytest.mark.parametrize("answer", [True, False])
def test_a_full_probe_decides_once_it_is_healed(
    answer: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret that came back makes it not erased; steps of healing are counted."""
    asked: list[str] = []

    def healed(*_: object) -> None:
        asked.append("healed")

    def full_probe_passes(self: EraseEvaluator) -> bool:
        asked.append("probed")
        return answer or "healed" not in asked

    monkeypatch.setattr(Distiller, "distill", healed)
    monkeypatch.setattr(EraseEvaluator, "full_probe_passes", full_probe_passes)
    clm = tiny.reciting("qwen2")
    settings = erase_runs.settings("lasting", healing=Distillation(steps=30, texts=4, tokens=300))
    done = erase(clm, FORGET, tiny.RETAINED, LIMITS, settings)
    assert asked[-2:] == ["healed", "probed"]
    assert done.erased is answer
    assert answer or done.ended == "a secret came back while the CLM was healed"
    assert done.steps == len(done.history) + 30


def test_healing_too_short_to_give_retained_code_back_is_no_erasing() -> None:
    """The guard looks after it too."""
    clm = tiny.reciting("qwen2")
    healing = Distillation(steps=2, texts=4, tokens=300, noise=0.9)
    settings = erase_runs.settings("lasting", guard=0.03, healing=healing)
    done = erase(clm, FORGET, tiny.RETAINED, LIMITS, settings)
    assert done.ended == HARMED
    assert done.retained_fall > 0.3


def test_healing_shows_its_steps_where_there_was_nothing_to_suppress() -> None:
    """As on a checkpoint that `decoys` made."""
    clm = tiny.reciting("qwen2")
    assert erase(clm, FORGET, tiny.RETAINED, LIMITS, erase_runs.settings("decoys")).erased
    told: list[tuple[int, int, str]] = []
    healing = Distillation(steps=3, texts=4, tokens=300)
    settings = erase_runs.settings("lasting", healing=healing)
    erase(
        clm, FORGET, tiny.RETAINED, LIMITS, settings,
        lambda step, expected: told.append((step.step, expected, step.note())),
    )  # fmt: skip
    assert [one[:2] for one in told[-3:]] == [(told[-1][1] - n, told[-1][1]) for n in (2, 1, 0)]
    assert all("nats from the teacher" in note for _, _, note in told[-3:])


def test_weights_that_are_no_matrices_are_refused() -> None:
    """Stacked experts would keep what they know: before anything is changed."""
    clm = tiny.reciting("qwen2")
    clm.model.model.layers[0].mlp.experts = torch.nn.Parameter(torch.zeros(2, 3, 4))
    with pytest.raises(BadInput, match="weights that are no matrices"):
        erase(clm, FORGET, tiny.RETAINED, LIMITS, erase_runs.settings("lasting"))
