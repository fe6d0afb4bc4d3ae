"""Evaluation between steps: ranks first, then a full probe."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import erase_runs
import pytest
import tiny
from erase_runs import FORGET, LIMITS

from erasetest.clm import Clm
from erasetest.erasing import erase
from erasetest.erasing.erase_evaluation import EraseEvaluator
from erasetest.erasing.trainable import TrainableModel
from erasetest.probes import probe
from erasetest.verdict import Thresholds


class _Count:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Thresholds:
        self.calls += 1
        return LIMITS


def _evaluator(clm: Clm, recalibrate: _Count, *, ranks: bool) -> EraseEvaluator:
    trainable = TrainableModel(clm, None, precision="auto", checkpointing=False, seed=0)
    evaluator = EraseEvaluator(
        clm, FORGET, trainable, LIMITS, recalibrate, lambda _: None, ranks=ranks
    )
    for secret in range(len(FORGET)):
        evaluator.rule.observe_accuracy({secret: 0.0})
    return evaluator


def test_secrets_that_stand_out_get_extra_steps_without_a_full_probe() -> None:
    """They are recited, so each is more likely than any decoy; the observed MA is 0."""
    recalibrate = _Count()
    evaluator = _evaluator(tiny.reciting("qwen2"), recalibrate, ranks=True)
    assert not evaluator.rule.active
    assert not evaluator.is_erased(random.Random(0), 32)
    assert evaluator.rule.active == frozenset(range(4))
    assert recalibrate.calls == 0


def test_the_full_probe_decides() -> None:
    """Without ranks, and after the maximum number of rankings."""
    clm = tiny.reciting("qwen2")
    for ranks in (False, True):
        recalibrate = _Count()
        evaluator = _evaluator(clm, recalibrate, ranks=ranks)
        for call in range(9):
            assert not evaluator.is_erased(random.Random(0), 32)
            assert evaluator.rule.accuracy == [0.0] * 4 if ranks and call < 8 else [1.0] * 4
        assert recalibrate.calls == (1 if ranks else 9)


def test_a_restored_evaluator_continues() -> None:
    """With the state of the rule, and the same number of rankings left."""
    clm = tiny.reciting("qwen2")
    evaluator, other = (_evaluator(clm, _Count(), ranks=True) for _ in range(2))
    for _ in range(8):
        evaluator.is_erased(random.Random(0), 32)
    other.load_state_dict(evaluator.state_dict())
    assert other.rule.active == evaluator.rule.active
    assert other.state_dict() == evaluator.state_dict()
    other.is_erased(random.Random(0), 32)
    assert other.rule.accuracy == [
        pytest.approx(float(measured.measures["ma"])) for measured in probe(clm, FORGET)
    ]


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_secrets_erased_by_default_no_longer_stand_out(family: str) -> None:
    """One full probe is enough if it passes."""
    clm, recalibrate = tiny.reciting(family), _Count()
    settings = erase_runs.settings("decoys")
    done = erase(clm, FORGET, tiny.RETAINED, LIMITS, settings, recalibrate=recalibrate)
    assert done.erased
    assert erase_runs.verdicts(clm) == ["pass"] * 4
    assert recalibrate.calls < 3


def test_the_full_probe_uses_the_stored_weights() -> None:
    """The trained weights may recite a secret that the rounded ones do not."""
    clm = tiny.reciting("qwen2")
    evaluator = _evaluator(clm, _Count(), ranks=False)
    as_stored, depths = evaluator.trainable.as_stored, []

    @contextlib.contextmanager
    def spoiled() -> Iterator[None]:
        with as_stored():
            head = clm.model.get_output_embeddings().weight
            was = head.detach().clone()
            head.data.zero_()
            depths.append(1)
            yield
            head.data.copy_(was)

    evaluator.trainable.as_stored = spoiled  # type: ignore[method-assign]
    evaluator.full_probe_passes()
    assert depths
    assert max(evaluator.rule.accuracy) < 0.5
    assert min(float(measured.measures["ma"]) for measured in probe(clm, FORGET)) > 0.9
