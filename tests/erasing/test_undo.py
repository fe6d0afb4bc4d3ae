"""UNDO, the method `lasting`: suppressed, noised and distilled."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
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
from erasetest.erasing.erasure_result import HARMED, RELEARNED
from erasetest.erasing.erasure_settings import Distillation
from erasetest.erasing.examples import TokenizedExample, forget_examples, retained_examples
from erasetest.erasing.forward import StepOutput, forward_step
from erasetest.erasing.prepare import prepare
from erasetest.erasing.retention_guard import RetentionGuard
from erasetest.erasing.self_generated import self_generated_texts
from erasetest.erasing.trainable import TrainableModel
from erasetest.erasing.undo import Distiller
from erasetest.errors import BadInput, ErasureError
from erasetest.probes import probe
from erasetest.samples import SensitiveSample, make_sample
from erasetest.support.optimizers import cosine_schedule, hidden_matrices


def test_distillation_teaches_the_teachers_outputs() -> None:
    """The noised CLM is far from the teacher, the distilled one near, without the secrets."""
    clm = tiny.reciting("qwen2")
    reported: list[tuple[int, float]] = []
    distillation = Distillation(steps=60, texts=30, tokens=400)
    settings = erase_runs.settings(method="lasting", healing=distillation)
    done = erase(
        clm, FORGET, tiny.RETAINED, LIMITS, settings,
        lambda step, _: reported.append((step.step, step.retained_kl)) if step.healing else None,
    )  # fmt: skip
    assert len(reported) == 60
    assert sum(kl for _, kl in reported[:3]) > 4 * sum(kl for _, kl in reported[-3:])
    assert done.settings["healing"]["steps"] == 60
    assert done.erased
    assert erase_runs.verdicts(clm) == ["pass"] * 4
    assert done.retained_fall < 0.05
    with pytest.raises(BadInput, match="lasting changes every weight of the CLM"):
        erase_runs.settings(method="lasting", lora=Lora(4))


def _relearned(clm: Clm) -> float:
    """Return the total MA of each half of the forget set after training on the other half."""
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


def test_relearning_recovers_less_after_distillation() -> None:
    """Less than after suppression by the same method alone."""
    back = {}
    distillation = Distillation(noise=0.6, steps=120, texts=60, tokens=400)
    for method in ("decoys", "lasting"):
        clm = tiny.reciting("qwen2")
        settings = erase_runs.settings(method, healing=distillation)
        assert erase(clm, FORGET, tiny.RETAINED, LIMITS, settings).erased
        back[method] = _relearned(clm)
    assert back["lasting"] < 0.8 * back["decoys"]


def test_only_the_matrices_of_the_layers_get_noise() -> None:
    """Embeddings, head and norms are unchanged; each matrix keeps a part of its weights."""
    for family in tiny.FAMILIES:
        clm = tiny.reciting(family)
        before = erase_runs.weights(clm)
        _distiller(clm, noise=0.5).add_noise()
        for name, now in erase_runs.weights(clm).items():
            was = before[name]
            inner = was.ndim == 2 and not any(k in name for k in ("embed", "wte", "wpe", "lm_head"))
            assert bool((now != was).any()) is inner, name
            if inner:
                both = torch.stack([now.flatten(), was.flatten()])
                assert 0.5 < float(torch.corrcoef(both)[0, 1]) < 0.95


def test_embeddings_and_heads_of_any_name_get_no_noise() -> None:
    """They are recognized by their role: a head may have the name of a layer."""
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
def test_gradients_of_distillation_are_clipped(
    clipped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a norm of 1 over all parameters: one outlier would outweigh the momentum of many steps."""
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
    _distiller(tiny.reciting("qwen2"), noise=0.9).run()
    assert (max(norms) < 1.001) is clipped


def _distiller(clm: Clm, **changes: Any) -> Distiller:
    distillation = Distillation(**{"steps": 3, "texts": 4, "tokens": 300, **changes})
    settings = erase_runs.settings("lasting", healing=distillation)
    prepared = prepare(clm, FORGET, tiny.RETAINED, settings)
    trainable = TrainableModel(clm, None, precision="auto", checkpointing=False, seed=0)
    return Distiller(prepared, trainable, None, lambda _: None)


def test_the_texts_of_distillation_have_no_secret() -> None:
    """Samples are read with decoys in place of their secrets."""
    clm = tiny.reciting("qwen2")
    distiller = _distiller(clm)
    assert distiller.decoyed
    text = clm.tokenizer.decode(list(forget_examples(clm, FORGET)[0][0].ids))
    assert tiny.SECRETS[0][1] in text
    for row in [*distiller.decoyed, *distiller.texts]:
        text = clm.tokenizer.decode(list(row.ids))
        assert not any(secret in text for _, secret in tiny.SECRETS[:4])


def test_a_distillation_step_has_texts_and_a_share_of_samples_with_decoys() -> None:
    """About a fifth of its tokens are from samples with decoys."""
    distiller = _distiller(tiny.reciting("qwen2"))
    h = distiller.settings
    read: list[TokenizedExample] = []

    def recorded(*args: Any) -> StepOutput:
        read.extend(args[4])
        return forward_step(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step_runner, "forward_step", recorded)
        distiller.run()
    tokens = {
        name: sum(len(row.ids) for row in read if row in pool) / h.steps
        for name, pool in (("files", distiller.decoyed), ("code", distiller.texts))
    }
    longest = max(len(row.ids) for row in [*distiller.decoyed, *distiller.texts])
    for name, share in (("files", h.decoys), ("code", 1 - h.decoys)):
        assert share * h.tokens <= tokens[name] < share * h.tokens + longest


def test_generated_texts_start_with_retained_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """With some tokens of each, to include what the CLM never generates otherwise."""
    given: list[Sequence[int]] = []

    def own(*asked: Any, openings: Sequence[Sequence[int]], **how: Any) -> list[SensitiveSample]:
        given.extend(openings)
        return self_generated_texts(*asked, openings=openings, **how)

    monkeypatch.setattr(undo, "self_generated_texts", own)
    clm = tiny.reciting("qwen2")
    _distiller(clm)
    kept = [row.ids for row in retained_examples(clm, tiny.RETAINED)]
    assert len(given) == len(kept)
    for opening, ids in zip(given, kept, strict=True):
        assert 1 <= len(opening) <= 16
        assert tuple(opening) == ids[: len(opening)]


def test_the_texts_of_distillation_end_with_eos(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the distilled CLM would continue where the teacher ends."""
    texts = [make_sample(f"value_{n} = {n}\n", id=f"own-{n}") for n in range(3)]
    monkeypatch.setattr(undo, "self_generated_texts", lambda *_, **__: texts)
    clm = tiny.reciting("qwen2")
    distiller = _distiller(clm)
    known = {row.ids for row in distiller.texts}
    for encoded in encode(clm, texts):
        assert {(*encoded.ids, end) for end in clm.end_tokens} & known
        assert encoded.ids not in known
    assert distiller.decoyed
    assert all(row.ids[-1] in clm.end_tokens for row in distiller.decoyed)


def test_a_loss_that_stays_non_finite_ends_the_distillation() -> None:
    """The error has the step, and what to do."""
    high = {"matrix_lr": 1e20, "other_lr": 1e20}
    distiller = _distiller(tiny.reciting("qwen2"), steps=12, warmup=1, **high)
    message = r"the loss is NaN or infinite at step [5-9] of the distillation: .*choose another"
    with pytest.raises(ErasureError, match=message):
        distiller.run()


def _breaking(monkeypatch: pytest.MonkeyPatch, broken: int) -> list[float]:
    """Let a step leave NaN weights; return the learning rates of all steps."""
    rates: list[float] = []
    plain = undo.optimizer_step

    def stepped(of: Clm, optimizers: list[torch.optim.Optimizer]) -> None:
        rates.append(optimizers[0].param_groups[0]["lr"])
        plain(of, optimizers)
        if len(rates) == broken:
            for parameter in of.model.parameters():
                parameter.data += math.nan

    monkeypatch.setattr(undo, "optimizer_step", stepped)
    return rates


def test_distillation_rolls_back_after_a_non_finite_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """To earlier weights, at half the learning rates; a resumed run uses these rates too."""
    rates = _breaking(monkeypatch, 2)
    distiller, other = (_distiller(tiny.reciting("qwen2"), steps=5, warmup=1) for _ in range(2))
    reported: list[int] = []
    states: list[dict[str, Any]] = []
    distiller.run(
        lambda step, _: reported.append(step),
        lambda: states.append(copy.deepcopy(distiller.state_dict())),
    )
    assert reported == [1, 2, 4, 5]
    assert all(p.isfinite().all() for p in distiller.trainable.parameters)
    wanted = [(0, 1.0), (1, 1.0), (3, 0.5), (4, 0.5)]
    peak = distiller.settings.matrix_lr
    assert rates == pytest.approx(
        [peak * share * cosine_schedule(step, 5, 1) for step, share in wanted]
    )
    fourth = states[2]
    weights = fourth["parameters"]
    other.load_state_dict(fourth)
    other.run()
    assert rates[4:] == rates[3:4]
    assert other.snapshot.restored == 1
    torch.testing.assert_close(other.snapshot.weights, weights)


def test_non_finite_weights_of_the_last_step_are_rolled_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No later step would detect them."""
    distiller = _distiller(tiny.reciting("qwen2"))
    _breaking(monkeypatch, distiller.settings.steps)
    distiller.run()
    assert all(p.isfinite().all() for p in distiller.trainable.parameters)
    assert distiller.snapshot.restored == 1


def test_distillation_reads_fewer_tokens_when_out_of_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A step in parts has the same gradient; a single text that does not fit is an error."""
    whole = tiny.reciting("qwen2")
    _distiller(whole).run()
    clm = tiny.reciting("qwen2")
    distiller = _distiller(clm)
    asked: list[int | None] = []

    def limited(*given: Any) -> StepOutput:
        asked.append(given[6])
        if given[6] is None or given[6] > 150:
            raise torch.OutOfMemoryError
        return forward_step(*given)

    monkeypatch.setattr(step_runner, "forward_step", limited)
    distiller.run()
    assert asked[0] is None
    assert distiller.runner.max_tokens is not None
    assert distiller.runner.max_tokens <= 150
    for name, weight in erase_runs.weights(clm).items():
        torch.testing.assert_close(weight, erase_runs.weights(whole)[name], rtol=1e-3, atol=1e-4)
    monkeypatch.setattr(step_runner, "forward_step", lambda *_: exec("raise MemoryError"))
    distiller.step = 0
    with pytest.raises(ErasureError, match="tokens alone does not fit in the memory of cpu"):
        distiller.run()


def test_a_harmed_clm_is_not_distilled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Distillation teaches the outputs of the suppressed CLM, including the harm."""
    distilled: list[object] = []
    monkeypatch.setattr(Distiller, "run", lambda *given: distilled.append(given))
    monkeypatch.setattr(RetentionGuard, "accuracy_drop", lambda _: 0.5)
    settings = erase_runs.settings("lasting", guard=0.1)
    done = erase(tiny.reciting("qwen2"), FORGET, tiny.RETAINED, LIMITS, settings)
    assert done.ended == HARMED
    assert distilled == []


def test_the_teacher_stays_the_suppressed_clm() -> None:
    """However the weights change, the output head included."""
    clm = tiny.reciting("qwen2")
    distiller = _distiller(clm)
    row = distiller.texts[0]
    places = [torch.arange(len(row.ids) - 1)]
    teacher = distiller.runner.reference
    before = teacher.logits(teacher.states([row], places)).clone()
    with torch.no_grad():
        for parameter in clm.model.parameters():
            parameter.mul_(1.5)
    after = teacher.logits(teacher.states([row], places))
    torch.testing.assert_close(after, before, rtol=0, atol=0)


@pytest.mark.parametrize("answer", [True, False])
def test_a_full_probe_decides_after_the_distillation(
    answer: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret above its thresholds makes it not erased; distillation steps are counted."""
    asked: list[str] = []

    def distilled(*_: object) -> None:
        asked.append("distilled")

    def full_probe_passes(self: EraseEvaluator) -> bool:
        asked.append("probed")
        return answer or "distilled" not in asked

    monkeypatch.setattr(Distiller, "run", distilled)
    monkeypatch.setattr(EraseEvaluator, "full_probe_passes", full_probe_passes)
    clm = tiny.reciting("qwen2")
    settings = erase_runs.settings("lasting", healing=Distillation(steps=30, texts=4, tokens=300))
    done = erase(clm, FORGET, tiny.RETAINED, LIMITS, settings)
    assert asked[-2:] == ["distilled", "probed"]
    assert done.erased is answer
    assert answer or done.ended == RELEARNED
    assert done.steps == len(done.history) + 30


def test_a_distillation_too_short_to_recover_retained_code_fails() -> None:
    """The guard evaluates after the distillation too."""
    clm = tiny.reciting("qwen2")
    distillation = Distillation(steps=2, texts=4, tokens=300, noise=0.9)
    settings = erase_runs.settings("lasting", guard=0.03, healing=distillation)
    done = erase(clm, FORGET, tiny.RETAINED, LIMITS, settings)
    assert done.ended == HARMED
    assert done.retained_fall > 0.3


def test_distillation_reports_its_steps_without_a_suppression() -> None:
    """As on a checkpoint that `decoys` wrote."""
    clm = tiny.reciting("qwen2")
    assert erase(clm, FORGET, tiny.RETAINED, LIMITS, erase_runs.settings("decoys")).erased
    reported: list[tuple[int, int, str]] = []
    distillation = Distillation(steps=3, texts=4, tokens=300)
    settings = erase_runs.settings("lasting", healing=distillation)
    erase(
        clm, FORGET, tiny.RETAINED, LIMITS, settings,
        lambda step, expected: reported.append((step.step, expected, step.note())),
    )  # fmt: skip
    assert [one[:2] for one in reported[-3:]] == [
        (reported[-1][1] - n, reported[-1][1]) for n in (2, 1, 0)
    ]
    assert all("nats per token from the teacher" in note for _, _, note in reported[-3:])


def test_weights_that_are_not_matrices_are_refused() -> None:
    """Stacked experts would keep the secrets. Refused before anything is changed."""
    clm = tiny.reciting("qwen2")
    clm.model.model.layers[0].mlp.experts = torch.nn.Parameter(torch.zeros(2, 3, 4))
    with pytest.raises(BadInput, match="weights that are not matrices"):
        erase(clm, FORGET, tiny.RETAINED, LIMITS, erase_runs.settings("lasting"))
