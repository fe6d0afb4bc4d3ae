"""Which rows a step sees, and when retained code is looked at."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from erasetest.erasing.examples import TokenizedExample
from erasetest.erasing.forget_batches import ForgetBatchSampler
from erasetest.erasing.objectives import Tokens
from erasetest.erasing.retention_guard import RetentionGuard
from erasetest.erasing.step_runner import StepRunner
from erasetest.erasing.stopping import StopRule
from erasetest.verdict import Thresholds


def _rows(count: int) -> list[TokenizedExample]:
    return [TokenizedExample((1, 2), (frozenset(), frozenset({n}))) for n in range(count)]


class _Forgotten(StepRunner):
    """Sees that every secret it reads is forgotten, and notes when it was asked."""

    def __init__(self) -> None:
        self.read_rows: list[int] = []

    def read(self, forget: Sequence[TokenizedExample] = (), *_: Any) -> Any:
        self.read_rows.append(len(forget))
        seen = {secret: 0.0 for row in forget for secret in row.secrets}
        return SimpleNamespace(accuracies=lambda: seen)


def _draws(count: int, batch: int) -> tuple[ForgetBatchSampler, _Forgotten]:
    rule = StopRule(["k"] * count, Thresholds("t", {"ma": 0.5}))
    reader = _Forgotten()
    return ForgetBatchSampler(reader, _rows(count), rule, batch, random.Random(0)), reader


def test_what_is_left_is_looked_at_now_and_then() -> None:
    """Where a step holds a part of it: after four steps, or more where more is left."""
    draws, reader = _draws(10, 4)
    for number in (1, 2, 3):
        assert len(draws.next(number)) == 4
    assert reader.read_rows == []
    assert len(draws.next(4)) == 4
    assert reader.read_rows == [4, 4, 2]
    assert not draws.rule.active
    assert draws.looked == 4

    draws, reader = _draws(100, 4)
    for number in range(1, 12):
        draws.next(number)
    assert reader.read_rows == []
    draws.next(12)
    assert sum(reader.read_rows) == 100

    draws, reader = _draws(4, 4)
    for number in range(1, 20):
        assert {secret for row in draws.next(number) for secret in row.secrets} == {0, 1, 2, 3}
    assert reader.read_rows == []


def test_a_step_begins_with_what_is_left_and_is_filled_up() -> None:
    draws, _ = _draws(10, 4)
    draws.rule.observe({n: 0.0 for n in range(10) if n not in (3, 7)})
    drawn = [next(iter(row.secrets)) for row in draws.next(1)]
    assert set(drawn[:2]) == {3, 7}
    assert len(set(drawn)) == 4


class _Kept(StepRunner):
    """Retained code of which a share is no longer predicted."""

    def __init__(self, lost: int) -> None:
        self.lost, self.reads = lost, 0
        self.trained: Any = SimpleNamespace(as_stored=contextlib.nullcontext)

    def read(
        self,
        forget: Sequence[TokenizedExample] = (),
        retain: Sequence[TokenizedExample] = (),
        *_: Any,
    ) -> Any:
        self.reads += 1
        return SimpleNamespace(retained=_tokens(self.lost))


def _tokens(lost: int) -> Tokens:
    known = torch.ones(10, dtype=torch.bool)
    zeros = torch.zeros(10)
    return Tokens(zeros, zeros, zeros, torch.arange(10) >= lost, known)


@pytest.mark.parametrize(("lost", "alarmed"), [(1, False), (4, True)])
def test_an_alarm_is_looked_into_and_takes_four_steps_again(lost: int, alarmed: bool) -> None:
    """The mean of four draws calls for a look at all; that decides."""
    reader = _Kept(lost)
    guard = RetentionGuard(reader, _rows(3), 0.2, 0)
    for _ in range(2):
        for step in range(4):
            assert guard.observe(_tokens(3)) == pytest.approx(0.3)
            assert guard.is_alarmed() is (alarmed and step == 3)
    assert reader.reads == 2
    assert guard.fall() == pytest.approx(lost / 10)


def test_no_fall_is_too_far_where_nobody_asks() -> None:
    reader = _Kept(9)
    guard = RetentionGuard(reader, _rows(3), None, 0)
    for _ in range(9):
        guard.observe(_tokens(9))
        assert not guard.is_alarmed()
    assert reader.reads == 0
