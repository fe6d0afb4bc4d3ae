"""Secrets among decoys: in the steps, and before the full probe."""

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

from erasetest.clm import Clm, encode
from erasetest.erasing import erase, erase_evaluation
from erasetest.erasing.erase_evaluation import EraseEvaluator
from erasetest.erasing.examples import TokenizedExample
from erasetest.erasing.forget_batches import ForgetBatchSampler
from erasetest.erasing.stopping import OWED_FOR_RANK, StopRule
from erasetest.erasing.trainable import TrainableModel
from erasetest.samples import SensitiveSample, make_sample
from erasetest.samples.decoys import decoy


def _judge(clm: Clm, samples: list[SensitiveSample]) -> EraseEvaluator:
    trained = TrainableModel(clm, None, precision="auto", checkpointing=False, seed=0)
    made = EraseEvaluator(clm, samples, trained, LIMITS, None, lambda _: None, ranks=True)
    made.rule.observe(dict.fromkeys(range(len(samples)), 0.0))
    return made


def _nats(clm: Clm, sample: SensitiveSample) -> float:
    """Of its first secret as a whole, by definition."""
    (encoded,) = encode(clm, [sample])
    at = encoded.secrets[0]
    lost = erase_runs.losses(clm, encoded.ids)
    return sum(lost[i - 1] for i in range(at.first, at.last))


def test_ranks_are_those_of_the_definition() -> None:
    """The share of decoys in its place with fewer nats; 0 for what is recited."""
    clm = tiny.untrained("gpt2")
    found = _judge(clm, FORGET)._ranks(7)
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
    assert _judge(tiny.reciting("qwen2"), FORGET)._ranks(7) == [0.0] * 4


def test_decoys_of_a_look_are_fresh_and_the_clm_is_as_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What rounding does to ranks counts."""
    looking = _judge(tiny.untrained("gpt2"), FORGET)
    inside: list[bool] = []
    seeds: list[int] = []
    real = erase_evaluation.decoy_log2_p

    @contextlib.contextmanager
    def stored(_: TrainableModel) -> Iterator[None]:
        inside.append(True)
        yield
        inside.pop()

    def noted(*given: Any) -> Any:
        assert inside
        seeds.append(given[-1].seed)
        return real(*given)

    monkeypatch.setattr(TrainableModel, "as_stored", stored)
    monkeypatch.setattr(erase_evaluation, "decoy_log2_p", noted)
    rng = random.Random(0)
    for _ in range(3):
        looking.rank_against_decoys(rng, 32)
    assert len(set(seeds)) == 3


def test_steps_for_a_rank_are_few() -> None:
    """Then the ranks are looked at again."""
    looking = _judge(tiny.reciting("qwen2"), FORGET)
    assert not looking.is_erased(random.Random(0), 32)
    assert (looking.rank, looking.stands_out) == (0.0, True)
    for _ in range(OWED_FOR_RANK):
        assert looking.rule.active == frozenset(range(4))
        looking.rule.climbed(range(4))
    assert looking.rule.active == frozenset()


def test_steps_compare_secrets_with_their_decoys_as_long_as_they_stand_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All four are below their limit and likelier: still in the ascent."""
    kept: list[bool] = []
    looks: list[int] = []
    compared, rank_against_decoys = StopRule.compared, EraseEvaluator.rank_against_decoys

    def noted(rule: StopRule, likelier: Mapping[int, bool]) -> None:
        assert set(likelier) == set(range(4))
        compared(rule, likelier)
        kept.append(max(rule.accuracy) <= 0.4 and all(likelier.values()) and len(rule.active) == 4)

    def looked(self: EraseEvaluator, rng: random.Random, most: int) -> list[int]:
        looks.append(len(kept))
        return rank_against_decoys(self, rng, most)

    monkeypatch.setattr(StopRule, "compared", noted)
    monkeypatch.setattr(EraseEvaluator, "rank_against_decoys", looked)
    settings = erase_runs.settings("decoys")
    done = erase(tiny.reciting("qwen2"), FORGET, tiny.RETAINED, LIMITS, settings)
    assert done.erased
    assert any(kept)
    assert len(looks) > 1
    assert done.rank is not None
    assert "mean rank among decoys" in done.ranked()


def test_the_rank_told_at_the_step_limit_is_of_the_clm_as_it_ends() -> None:
    """Two steps are too few for a look before."""
    clm = tiny.reciting("qwen2")
    done = erase(clm, FORGET, tiny.RETAINED, LIMITS, erase_runs.settings("decoys", max_steps=2))
    assert not done.erased
    found = [rank for rank in _judge(clm, FORGET)._ranks(0) if rank is not None]
    assert done.rank == pytest.approx(statistics.fmean(found), abs=0.05)


def test_a_method_without_decoys_ranks_nothing() -> None:
    done = erase(tiny.reciting("qwen2"), FORGET, tiny.RETAINED, LIMITS, erase_runs.settings())
    assert done.rank is None
    assert done.ranked() == "not ranked among decoys"


def test_a_secret_outside_a_step_had_no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more samples than a step holds, what is owed to the others stays owed."""
    drawn: set[int] = set()
    left_out: list[int] = []
    draw, climbed = ForgetBatchSampler.next, StopRule.climbed

    def noted(self: ForgetBatchSampler, number: int) -> list[TokenizedExample]:
        rows = draw(self, number)
        drawn.clear()
        drawn.update(secret for row in rows for secret in row.secrets)
        return rows

    def had(rule: StopRule, secrets: Iterable[int]) -> None:
        secrets = set(secrets)
        assert secrets
        assert secrets <= drawn
        left_out.append(len(rule.active - secrets))
        climbed(rule, secrets)

    monkeypatch.setattr(ForgetBatchSampler, "next", noted)
    monkeypatch.setattr(StopRule, "climbed", had)
    settings = erase_runs.settings(batch=2, max_steps=6)
    erase(tiny.reciting("qwen2"), FORGET, tiny.RETAINED, LIMITS, settings)
    assert max(left_out) >= 2
