"""Whether the secrets are erased: ranks first, then a full probe."""

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


def _judge(clm: Clm, recalibrate: _Count, *, ranks: bool) -> EraseEvaluator:
    trained = TrainableModel(clm, None, precision="auto", checkpointing=False, seed=0)
    judge = EraseEvaluator(clm, FORGET, trained, LIMITS, recalibrate, lambda _: None, ranks=ranks)
    for secret in range(len(FORGET)):
        judge.rule.observe({secret: 0.0})
    return judge


def test_secrets_that_stand_out_are_back_in_the_ascent_without_a_full_probe() -> None:
    """They are recited, so each is likelier than any decoy; MA, as it was told, is 0."""
    recalibrate = _Count()
    judge = _judge(tiny.reciting("qwen2"), recalibrate, ranks=True)
    assert not judge.rule.active
    assert not judge.is_erased(random.Random(0), 32)
    assert judge.rule.active == frozenset(range(4))
    assert recalibrate.calls == 0


def test_the_full_probe_decides() -> None:
    """Where nobody asks for ranks, and once it was asked for them often enough."""
    clm = tiny.reciting("qwen2")
    for ranks in (False, True):
        recalibrate = _Count()
        judge = _judge(clm, recalibrate, ranks=ranks)
        for call in range(9):
            assert not judge.is_erased(random.Random(0), 32)
            assert judge.rule.accuracy == [0.0] * 4 if ranks and call < 8 else [1.0] * 4
        assert recalibrate.calls == (1 if ranks else 9)


def test_a_taken_up_judge_goes_on() -> None:
    """With what the rule knows, and as many looks at the ranks left."""
    clm = tiny.reciting("qwen2")
    judge, other = (_judge(clm, _Count(), ranks=True) for _ in range(2))
    for _ in range(8):
        judge.is_erased(random.Random(0), 32)
    other.load_state_dict(judge.state())
    assert other.rule.active == judge.rule.active
    assert other.state() == judge.state()
    other.is_erased(random.Random(0), 32)
    assert other.rule.accuracy == [
        pytest.approx(float(measured.measures["ma"])) for measured in probe(clm, FORGET)
    ]


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_what_is_erased_by_default_stands_out_no_more(family: str) -> None:
    """And one full probe is enough where its first answer is yes."""
    clm, recalibrate = tiny.reciting(family), _Count()
    settings = erase_runs.settings("decoys")
    done = erase(clm, FORGET, tiny.RETAINED, LIMITS, settings, recalibrate=recalibrate)
    assert done.erased
    assert erase_runs.verdicts(clm) == ["pass"] * 4
    assert recalibrate.calls < 3


def test_the_full_probe_sees_the_clm_as_it_will_be_stored() -> None:
    """Weights between two that half precision can hold recite, and what is read back does not."""
    clm = tiny.reciting("qwen2")
    judge = _judge(clm, _Count(), ranks=False)
    as_stored, depths = judge.trained.as_stored, []

    @contextlib.contextmanager
    def spoilt() -> Iterator[None]:
        with as_stored():
            head = clm.model.get_output_embeddings().weight
            was = head.detach().clone()
            head.data.zero_()
            depths.append(1)
            yield
            head.data.copy_(was)

    judge.trained.as_stored = spoilt  # type: ignore[method-assign]
    judge.full_probe_passes()
    assert depths
    assert max(judge.rule.accuracy) < 0.5
    assert min(float(measured.measures["ma"]) for measured in probe(clm, FORGET)) > 0.9
