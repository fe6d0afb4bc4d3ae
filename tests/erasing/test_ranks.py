"""Secrets observe_decoys with decoys: in the steps, and before the full probe."""

from __future__ import annotations

import contextlib
import random
import statistics
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import erase_runs
import pytest
import tiny
from erase_runs import FORGET, LIMITS

from erasetest.clm import Clm
from erasetest.erasing import erase, erase_evaluation
from erasetest.erasing.erase_evaluation import EraseEvaluator
from erasetest.erasing.examples import TokenizedExample
from erasetest.erasing.forget_batches import ForgetBatchSampler
from erasetest.erasing.stopping import EXTRA_STEPS_FOR_RANK, StopRule
from erasetest.erasing.trainable import TrainableModel
from erasetest.probes.prompts import secret_prompts
from erasetest.samples import SensitiveSample, make_sample
from erasetest.samples.decoys import decoy


def _evaluator(clm: Clm, samples: list[SensitiveSample]) -> EraseEvaluator:
    trainable = TrainableModel(clm, None, precision="auto", checkpointing=False, seed=0)
    made = EraseEvaluator(clm, samples, trainable, LIMITS, None, lambda _: None, ranks=True)
    made.rule.observe_accuracy(dict.fromkeys(range(len(samples)), 0.0))
    return made


def _nats(clm: Clm, sample: SensitiveSample) -> float:
    """Return -log p of its first secret as a whole, in nats, after its most likely prompt."""
    ((prompts,),) = secret_prompts(clm, [sample])
    return min(
        sum(erase_runs.losses(clm, span.ids)[span.first - 1 :]) for span in prompts.clean.values()
    )


def test_ranks_are_those_of_the_definition() -> None:
    """The share of decoys in its place that are more likely; 0 for a recited secret."""
    clm = tiny.untrained("gpt2")
    found = _evaluator(clm, FORGET).secret_ranks(7)
    assert len(set(found)) > 1
    for sample, rank in zip(FORGET, found, strict=True):
        secret, content = sample.secrets[0], sample.content.reveal()
        rng = random.Random(f"7 {sample.id} 0")
        others = []
        for _ in range(8):
            text = decoy(secret.text.reveal(), secret.kind, rng)
            span = (secret.start, secret.start + len(text), secret.kind)
            copy = make_sample(content[: secret.start] + text + content[secret.end :], [span])
            others.append(_nats(clm, copy))
        own = _nats(clm, sample)
        assert rank == pytest.approx(statistics.fmean(other < own for other in others))
    assert _evaluator(tiny.reciting("qwen2"), FORGET).secret_ranks(7) == [0.0] * 4


def test_each_ranking_has_fresh_decoys_and_stored_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounding to the stored dtype may change ranks."""
    evaluator = _evaluator(tiny.untrained("gpt2"), FORGET)
    inside: list[bool] = []
    seeds: list[int] = []
    real = erase_evaluation.decoy_log2_p

    @contextlib.contextmanager
    def stored(_: TrainableModel) -> Iterator[None]:
        inside.append(True)
        yield
        inside.pop()

    def noted(*given: Any, **settings: Any) -> Any:
        assert inside
        seeds.append(settings["seed"])
        return real(*given, **settings)

    monkeypatch.setattr(TrainableModel, "as_stored", stored)
    monkeypatch.setattr(erase_evaluation, "decoy_log2_p", noted)
    rng = random.Random(0)
    for _ in range(3):
        evaluator.rank_against_decoys(rng, 32)
    assert len(set(seeds)) == 3


def test_ranks_schedule_few_extra_steps() -> None:
    """Then the secrets are ranked again."""
    evaluator = _evaluator(tiny.reciting("qwen2"), FORGET)
    assert not evaluator.is_erased(random.Random(0), 32)
    assert (evaluator.rank, evaluator.stands_out) == (0.0, True)
    for _ in range(EXTRA_STEPS_FOR_RANK):
        assert evaluator.rule.active == frozenset(range(4))
        evaluator.rule.trained_on(range(4))
    assert evaluator.rule.active == frozenset()


def test_secrets_stay_active_while_they_are_more_likely_than_decoys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All four are below their limit and more likely: still active."""
    kept: list[bool] = []
    rankings: list[int] = []
    observe_decoys, rank_against_decoys = (
        StopRule.observe_decoys,
        EraseEvaluator.rank_against_decoys,
    )

    def noted(rule: StopRule, more_likely: Mapping[int, bool]) -> None:
        assert set(more_likely) == set(range(4))
        observe_decoys(rule, more_likely)
        kept.append(
            max(rule.accuracy) <= 0.4 and all(more_likely.values()) and len(rule.active) == 4
        )

    def ranked(self: EraseEvaluator, rng: random.Random, max_secrets: int) -> list[int]:
        rankings.append(len(kept))
        return rank_against_decoys(self, rng, max_secrets)

    monkeypatch.setattr(StopRule, "observe_decoys", noted)
    monkeypatch.setattr(EraseEvaluator, "rank_against_decoys", ranked)
    settings = erase_runs.settings("decoys")
    done = erase(tiny.reciting("qwen2"), FORGET, tiny.RETAINED, LIMITS, settings)
    assert done.erased
    assert any(kept)
    assert len(rankings) > 1
    assert done.rank is not None
    assert "mean rank among decoys" in done.ranked()


def test_the_rank_at_the_step_limit_is_that_of_the_final_clm() -> None:
    """Two steps are too few for an earlier ranking."""
    clm = tiny.reciting("qwen2")
    done = erase(clm, FORGET, tiny.RETAINED, LIMITS, erase_runs.settings("decoys", max_steps=2))
    assert not done.erased
    found = [rank for rank in _evaluator(clm, FORGET).secret_ranks(0) if rank is not None]
    assert done.rank == pytest.approx(statistics.fmean(found), abs=0.05)


def test_a_method_without_decoys_ranks_nothing() -> None:
    done = erase(tiny.reciting("qwen2"), FORGET, tiny.RETAINED, LIMITS, erase_runs.settings())
    assert done.rank is None
    assert done.ranked() == "not ranked among decoys"


def test_a_secret_outside_a_batch_keeps_its_extra_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """If there are more samples than a batch holds."""
    drawn: set[int] = set()
    left_out: list[int] = []
    sample, trained_on = ForgetBatchSampler.next, StopRule.trained_on

    def noted(self: ForgetBatchSampler, number: int) -> list[TokenizedExample]:
        rows = sample(self, number)
        drawn.clear()
        drawn.update(secret for row in rows for secret in row.secrets)
        return rows

    def had(rule: StopRule, secrets: Iterable[int]) -> None:
        secrets = set(secrets)
        assert secrets
        assert secrets <= drawn
        left_out.append(len(rule.active - secrets))
        trained_on(rule, secrets)

    monkeypatch.setattr(ForgetBatchSampler, "next", noted)
    monkeypatch.setattr(StopRule, "trained_on", had)
    settings = erase_runs.settings(batch=2, max_steps=6)
    erase(tiny.reciting("qwen2"), FORGET, tiny.RETAINED, LIMITS, settings)
    assert max(left_out) >= 2
