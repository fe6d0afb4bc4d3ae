"""The stop rule: each secret for itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from erasetest.erasing.stopping import OWED, StopRule, standing_out
from erasetest.probes import SampleMeasures, SecretMeasures
from erasetest.verdict import Thresholds


def _measured(*rows: tuple[float, float, bool]) -> list[SampleMeasures]:
    secrets = tuple(
        SecretMeasures(0, 1, "k", {"ma": ma, "el_10": el_10, "extracted": extracted})
        for ma, el_10, extracted in rows
    )
    return [SampleMeasures("s", secrets)]


def test_a_secret_leaves_the_ascent_below_its_limit_and_comes_back() -> None:
    """Each for itself, by its kind's threshold."""
    rule = StopRule(["k", "email"], Thresholds("t", {"ma": 0.5}, {"email": {"ma": 0.8}}))
    assert rule.active == {0, 1}
    rule.observe({0: 0.51})
    rule.observe({1: 0.51})
    assert rule.active == {0}
    rule.observe({0: 0.5})
    assert rule.active == frozenset()
    rule.observe({1: 0.81})
    assert rule.active == {1}


def test_a_full_probe_decides() -> None:
    """All below: erased. Of those above, each is owed steps of ascent, whatever its MA."""
    rule = StopRule(["k", "k", "k"], Thresholds("t", {"ma": 0.5, "el_10": 0.1}))
    assert rule.verify(_measured((0.1, 0.0, False), (0.2, 0.1, False), (0.0, 0.0, False)))
    assert not rule.verify(_measured((0.1, 0.0, False), (0.0, 0.2, False), (0.0, 0.0, True)))
    for left in reversed(range(OWED)):
        assert rule.active == {1, 2}
        rule.observe({1: 0.0})
        rule.climbed([1, 2])
        assert (rule.active == {1, 2}) is (left > 0)
    assert rule.active == frozenset()


def test_what_leaks_before_the_first_step_is_owed_steps_only_below_its_limit() -> None:
    """Above it, it is in the ascent by that, and leaves it by that."""
    rule = StopRule(["k", "k"], Thresholds("t", {"ma": 0.5, "el_10": 0.1}))
    rule.begin(_measured((0.9, 0.9, True), (0.1, 0.9, True)))
    assert rule.active == {0, 1}
    rule.observe({0: 0.2})
    assert rule.active == {1}


def test_a_secret_above_its_limit_as_stored_alone_is_owed_steps() -> None:
    """In training it is below: without steps owed, probe and step would take turns for ever."""
    rule = StopRule(["k"], Thresholds("t", {"el_10": 0.1}))
    assert not rule.verify(_measured((0.9, 0.0, False)))
    rule.observe({0: 0.1})
    assert rule.active == {0}


def test_steps_that_are_owed_for_ranks_are_no_leak() -> None:
    """A full probe that finds all below ends it, as where the step limit comes among them."""
    rule = StopRule(["k", "k"], Thresholds("t", {"ma": 0.5, "el_10": 0.1}))
    rule.owe([0])
    assert rule.verify(_measured((0.1, 0.0, False), (0.2, 0.1, False)))
    assert rule.active == frozenset()


def test_secrets_stay_while_a_step_of_them_is_likelier_than_decoys() -> None:
    """As a set: by chance half of them are. What the last step says counts, and a probe decides."""
    rule = StopRule(["k"] * 32, Thresholds("t", {"ma": 0.5}))
    below = [(0.1, 0.0, False)] * 32
    rule.verify(_measured(*below))
    rule.compared({n: n != 5 for n in range(32)})
    assert rule.active == frozenset(range(32)) - {5}
    rule.compared({n: n < 20 for n in range(32)})
    assert rule.active == frozenset(range(20))
    again = StopRule(["k"] * 32, Thresholds("t", {"ma": 0.5}))
    again.load_state_dict(rule.state())
    assert again.active == rule.active
    # Ten of a set of which others are not seen in this step.
    rule.compared({n: n < 10 for n in range(12)})
    assert rule.active == frozenset(range(20)) - {10, 11}
    rule.compared({n: n < 18 for n in range(32)})
    assert rule.active == frozenset()
    assert again.verify(_measured(*below))
    assert again.active == frozenset()


def test_a_secret_alone_is_judged_by_its_rank() -> None:
    """Against one decoy it is likelier half of the time."""
    rule = StopRule(["k"], Thresholds("t", {"ma": 0.5}))
    rule.observe({0: 0.0})
    rule.compared({0: True})
    assert rule.active == frozenset()
    rule.compared({})
    assert rule.active == frozenset()


def test_the_stricter_thresholds_hold_from_then_on() -> None:
    """Thresholds calibrated on the erased CLM can only tighten."""
    rule = StopRule(["k"], Thresholds("t", {"ma": 0.5}))
    rule.observe({0: 0.4})
    assert rule.active == frozenset()
    rule.tighten(Thresholds("again", {"ma": 0.3}))
    assert rule.active == {0}
    rule.tighten(Thresholds("again", {"ma": 0.9}))
    assert rule.active == {0}
    assert rule.thresholds.any_kind == {"ma": 0.3}


def test_a_set_that_does_not_stand_out_is_left_alone() -> None:
    """A mean of ranks that chance gives three times in ten."""
    assert standing_out([], 9) == []
    assert standing_out([None, None], 9) == []
    assert standing_out([0.0, 1.0, 0.5, None], 9) == []
    assert standing_out([0.4] * 8, 9) == []
    assert standing_out([0.3] * 100, 200) != []


@given(
    st.lists(st.none() | st.integers(0, 8).map(lambda n: n / 8), max_size=40), st.integers(1, 40)
)
def test_those_furthest_off_are_told_and_no_more_than_needed(
    ranks: list[float | None], most: int
) -> None:
    """All on the side of the mean; brought to the middle they bring the mean there, or all are."""
    told = standing_out(ranks, most)
    known = [rank for rank in ranks if rank is not None]
    if not told:
        sd = (1 / 12 / len(known)) ** 0.5 if known else 0
        assert not known or abs(sum(known) / len(known) - 0.5) <= 1.04 * sd
        return
    off = sum(known) / len(known) - 0.5
    distances = [(ranks[n] - 0.5) * (1 if off > 0 else -1) for n in told]  # type: ignore[operator]
    assert min(distances) > 0
    assert len(told) <= most
    assert sum(distances) - min(distances) < abs(off) * len(known)
    others = [
        abs(rank - 0.5)
        for n, rank in enumerate(ranks)
        if rank is not None and n not in told and (rank - 0.5) * off > 0
    ]
    assert max(others, default=0) <= min(distances)
    if len(told) < most and others:
        assert sum(distances) >= abs(off) * len(known) - 1e-9
