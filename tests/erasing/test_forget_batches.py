"""Which examples a step reads, and when retained code is evaluated."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from erasetest.erasing.examples import TokenizedExample
from erasetest.erasing.forget_batches import ForgetBatchSampler
from erasetest.erasing.objectives import Tokens
from erasetest.erasing.prompt_examples import ForgetGroup
from erasetest.erasing.retention_guard import RetentionGuard
from erasetest.erasing.step_runner import StepRunner
from erasetest.erasing.stopping import StopRule
from erasetest.verdict import Thresholds


def _examples(count: int) -> list[TokenizedExample]:
    return [TokenizedExample((1, 2), (frozenset(), frozenset({n}))) for n in range(count)]


class _Forgotten(StepRunner):
    """Finds every secret forgotten, and records the sizes of its batches."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def forward(self, forget: Sequence[TokenizedExample] = (), *_: Any) -> Any:
        self.batches.append(len(forget))
        seen = {secret: 0.0 for row in forget for secret in row.secrets}
        return SimpleNamespace(accuracies=lambda: seen)


def _sampler(count: int, batch: int) -> tuple[ForgetBatchSampler, _Forgotten]:
    rule = StopRule(["k"] * count, Thresholds("t", {"ma": 0.5}))
    runner = _Forgotten()
    groups = [ForgetGroup(example) for example in _examples(count)]
    return ForgetBatchSampler(runner, groups, rule, batch, random.Random(0)), runner


def test_all_remaining_examples_are_evaluated_every_few_steps() -> None:
    """If one batch cannot hold them: after four steps, or more if more remain."""
    sampler, runner = _sampler(10, 4)
    for number in (1, 2, 3):
        assert len(sampler.next(number)) == 4
    assert runner.batches == []
    assert len(sampler.next(4)) == 4
    assert runner.batches == [4, 4, 2]
    assert not sampler.rule.active
    assert sampler.last_evaluation == 4

    sampler, runner = _sampler(100, 4)
    for number in range(1, 12):
        sampler.next(number)
    assert runner.batches == []
    sampler.next(12)
    assert sum(runner.batches) == 100

    sampler, runner = _sampler(4, 4)
    for number in range(1, 20):
        assert {secret for row in sampler.next(number) for secret in row.secrets} == {0, 1, 2, 3}
    assert runner.batches == []


def test_a_batch_has_active_secrets_first_and_is_filled_up() -> None:
    sampler, _ = _sampler(10, 4)
    sampler.rule.observe_accuracy({n: 0.0 for n in range(10) if n not in (3, 7)})
    drawn = [next(iter(row.secrets)) for row in sampler.next(1)]
    assert set(drawn[:2]) == {3, 7}
    assert len(set(drawn)) == 4


def test_the_prompt_that_predicts_best_is_trained_on() -> None:
    """The whole text first; each prompt is observed before the secret counts as forgotten."""
    (longest,) = _examples(1)
    others = tuple(replace(longest, ids=(n, 2), target=0) for n in (3, 4))
    rule = StopRule(["k"], Thresholds("t", {"ma": 0.5}))
    groups = [ForgetGroup(longest, others)]
    sampler = ForgetBatchSampler(_Forgotten(), groups, rule, 4, random.Random(0))
    chosen = []
    for accuracy in (0.75, 0.0, 1.0, 0.9, 0.2, 0.1):
        (example,) = sampler.next(1)
        chosen.append(example.ids[0])
        sampler.observe([example], {0: accuracy})
    assert chosen == [1, 3, 4, 4, 4, 1]
    assert rule.accuracy == [0.2]
    assert not rule.active
    state = sampler.state_dict()
    again = ForgetBatchSampler(_Forgotten(), groups, rule, 4, random.Random(0))
    again.load_state_dict(json.loads(json.dumps(state)))
    assert again.state_dict() == state


class _Retained(StepRunner):
    """Finds that some of ten retained tokens are no longer predicted."""

    def __init__(self, lost: int) -> None:
        self.lost, self.calls = lost, 0
        self.trainable: Any = SimpleNamespace(as_stored=contextlib.nullcontext)

    def forward(
        self,
        forget: Sequence[TokenizedExample] = (),
        retained: Sequence[TokenizedExample] = (),
        *_: Any,
    ) -> Any:
        self.calls += 1
        return SimpleNamespace(retained=_tokens(self.lost))


def _tokens(lost: int) -> Tokens:
    known = torch.ones(10, dtype=torch.bool)
    zeros = torch.zeros(10)
    return Tokens(zeros, zeros, zeros, torch.arange(10) >= lost, known)


@pytest.mark.parametrize(("lost", "exceeded"), [(1, False), (4, True)])
def test_a_suspected_drop_is_evaluated_every_four_steps_at_most(lost: int, exceeded: bool) -> None:
    """The mean of four batches triggers an evaluation of all retained code, which decides."""
    runner = _Retained(lost)
    guard = RetentionGuard(runner, _examples(3), 0.2, 0)
    for _ in range(2):
        for step in range(4):
            assert guard.observe(_tokens(3)) == pytest.approx(0.3)
            assert guard.is_exceeded() is (exceeded and step == 3)
    assert runner.calls == 2
    assert guard.accuracy_drop() == pytest.approx(lost / 10)


def test_without_a_limit_any_drop_is_allowed() -> None:
    runner = _Retained(9)
    guard = RetentionGuard(runner, _examples(3), None, 0)
    for _ in range(9):
        guard.observe(_tokens(9))
        assert not guard.is_exceeded()
    assert runner.calls == 0
