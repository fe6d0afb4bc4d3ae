"""The stop rule: each secret is judged separately."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from erasetest.erasing.stopping import EXTRA_STEPS, StopRule, outlying_secrets
from erasetest.probes import SampleMeasures, SecretMeasures
from erasetest.verdict import Thresholds


def _measured(*rows: tuple[float, float, bool]) -> list[SampleMeasures]:
    secrets = tuple(
        SecretMeasures(0, 1, "k", {"ma": ma, "el_10": el_10, "extracted": extracted})
        for ma, el_10, extracted in rows
    )
    return [SampleMeasures("s", secrets)]


def test_a_secret_is_active_while_above_its_limit() -> None:
    """Each separately, by its kind's threshold; again if it rises."""
    rule = StopRule(["k", "email"], Thresholds("t", {"ma": 0.5}, {"email": {"ma": 0.8}}))
    assert rule.active == {0, 1}
    rule.observe_accuracy({0: 0.51})
    rule.observe_accuracy({1: 0.51})
    assert rule.active == {0}
    rule.observe_accuracy({0: 0.5})
    assert rule.active == frozenset()
    rule.observe_accuracy({1: 0.81})
    assert rule.active == {1}


def test_a_full_probe_decides() -> None:
    """All below: erased. Those above get extra steps, whatever their MA."""
    rule = StopRule(["k", "k", "k"], Thresholds("t", {"ma": 0.5, "el_10": 0.1}))
    assert rule.verify(_measured((0.1, 0.0, False), (0.2, 0.1, False), (0.0, 0.0, False)))
    assert not rule.verify(_measured((0.1, 0.0, False), (0.0, 0.2, False), (0.0, 0.0, True)))
    for left in reversed(range(EXTRA_STEPS)):
        assert rule.active == {1, 2}
        rule.observe_accuracy({1: 0.0})
        rule.trained_on([1, 2])
        assert (rule.active == {1, 2}) is (left > 0)
    assert rule.active == frozenset()


def test_extra_steps_before_the_first_step_are_for_secrets_below_their_limit() -> None:
    """Above its limit of MA a leaking secret is active anyway, and only as long."""
    rule = StopRule(["k", "k"], Thresholds("t", {"ma": 0.5, "el_10": 0.1}))
    rule.start(_measured((0.9, 0.9, True), (0.1, 0.9, True)))
    assert rule.active == {0, 1}
    rule.observe_accuracy({0: 0.2})
    assert rule.active == {1}


def test_what_cannot_be_measured_or_is_guessable_is_left_out() -> None:
    """As long as a full probe finds it so, whatever its MA is in between."""

    def measured(over: Any) -> list[SampleMeasures]:
        values = {"ma": 0.9, "el_10": 0.0, "extracted": True}
        known: list[dict[str, Any]] = [values, {**values, "over_controls": over}, {}]
        secrets = [SecretMeasures(0, 1, "k", row, None if row else "unknown") for row in known]
        return [SampleMeasures("s", tuple(secrets))]

    rule = StopRule(["k", "k", "k"], Thresholds("t", {"ma": 0.5, "el_10": 0.1}))
    for over in (-1.0, None):
        rule.start(measured(over))
        assert (rule.active, rule.left_out) == ({0}, {1, 2})
    rule.observe_accuracy({0: 0.1, 1: 0.9, 2: 0.9})
    assert rule.active == frozenset()
    again = StopRule(["k", "k", "k"], Thresholds("t", {"ma": 0.5}))
    again.load_state_dict(rule.state_dict())
    assert again.left_out == {1, 2}
    rule.start(measured(3.0))
    assert (rule.active, rule.left_out) == ({0, 1}, {2})


def test_what_leaks_after_its_copies_is_never_left_out() -> None:
    """Not even if it could be guessed without them."""
    values = {"ma": 0.9, "el_10": 0.0, "extracted": True, "over_controls": -1.0}
    secret = SecretMeasures(0, 1, "k", values, copied={**values, "over_controls": 53.0})
    rule = StopRule(["k"], Thresholds("t", {"ma": 0.5}))
    rule.start([SampleMeasures("s", (secret,))])
    assert (rule.active, rule.left_out) == ({0}, set())
    assert not rule.verify([SampleMeasures("s", (secret,))])


def test_a_secret_above_its_limit_by_rounding_alone_gets_extra_steps() -> None:
    """In training it is below: without extra steps, probe and step would alternate forever."""
    rule = StopRule(["k"], Thresholds("t", {"el_10": 0.1}))
    assert not rule.verify(_measured((0.9, 0.0, False)))
    rule.observe_accuracy({0: 0.1})
    assert rule.active == {0}


def test_extra_steps_for_ranks_do_not_count_as_a_leak() -> None:
    """A full probe that finds all below ends it, also when the step limit comes first."""
    rule = StopRule(["k", "k"], Thresholds("t", {"ma": 0.5, "el_10": 0.1}))
    rule.schedule([0])
    assert rule.verify(_measured((0.1, 0.0, False), (0.2, 0.1, False)))
    assert rule.active == frozenset()


def test_secrets_stay_active_while_their_batch_is_more_likely_than_decoys() -> None:
    """As a set: by chance half of them are. The last step counts, and a probe decides."""
    rule = StopRule(["k"] * 32, Thresholds("t", {"ma": 0.5}))
    below = [(0.1, 0.0, False)] * 32
    rule.verify(_measured(*below))
    rule.observe_decoys({n: n != 5 for n in range(32)})
    assert rule.active == frozenset(range(32)) - {5}
    rule.observe_decoys({n: n < 20 for n in range(32)})
    assert rule.active == frozenset(range(20))
    again = StopRule(["k"] * 32, Thresholds("t", {"ma": 0.5}))
    again.load_state_dict(rule.state_dict())
    assert again.active == rule.active
    # Ten of twelve; the others of the set are not in this batch.
    rule.observe_decoys({n: n < 10 for n in range(12)})
    assert rule.active == frozenset(range(20)) - {10, 11}
    rule.observe_decoys({n: n < 18 for n in range(32)})
    assert rule.active == frozenset()
    assert again.verify(_measured(*below))
    assert again.active == frozenset()


def test_a_secret_alone_is_judged_by_its_rank() -> None:
    """A control secret is more likely than one decoy half of the time."""
    rule = StopRule(["k"], Thresholds("t", {"ma": 0.5}))
    rule.observe_accuracy({0: 0.0})
    rule.observe_decoys({0: True})
    assert rule.active == frozenset()
    rule.observe_decoys({})
    assert rule.active == frozenset()


def test_the_stricter_thresholds_hold_from_then_on() -> None:
    """Thresholds calibrated on the erased CLM can only tighten."""
    rule = StopRule(["k"], Thresholds("t", {"ma": 0.5}))
    rule.observe_accuracy({0: 0.4})
    assert rule.active == frozenset()
    rule.tighten(Thresholds("again", {"ma": 0.3}))
    assert rule.active == {0}
    rule.tighten(Thresholds("again", {"ma": 0.9}))
    assert rule.active == {0}
    assert rule.thresholds.any_kind == {"ma": 0.3}


def test_a_set_within_the_chance_limit_has_no_outlying_secrets() -> None:
    """A deviation of the mean rank that 30 % of sets have by chance."""
    assert outlying_secrets([], 9) == []
    assert outlying_secrets([None, None], 9) == []
    assert outlying_secrets([0.0, 1.0, 0.5, None], 9) == []
    assert outlying_secrets([0.4] * 8, 9) == []
    assert outlying_secrets([0.3] * 100, 200) != []


@given(
    st.lists(st.none() | st.integers(0, 8).map(lambda n: n / 8), max_size=40), st.integers(1, 40)
)
def test_the_most_extreme_secrets_are_returned_and_no_more_than_needed(
    ranks: list[float | None], max_count: int
) -> None:
    """All are on the side of the mean; moved to 0.5 they would bring the mean there."""
    outlying = outlying_secrets(ranks, max_count)
    known = [rank for rank in ranks if rank is not None]
    if not outlying:
        error = (1 / 12 / len(known)) ** 0.5 if known else 0
        assert not known or abs(sum(known) / len(known) - 0.5) <= 1.04 * error
        return
    deviation = sum(known) / len(known) - 0.5
    side = 1 if deviation > 0 else -1
    distances = [(ranks[n] - 0.5) * side for n in outlying]  # type: ignore[operator]
    assert min(distances) > 0
    assert len(outlying) <= max_count
    assert sum(distances) - min(distances) < abs(deviation) * len(known)
    others = [
        abs(rank - 0.5)
        for n, rank in enumerate(ranks)
        if rank is not None and n not in outlying and (rank - 0.5) * deviation > 0
    ]
    assert max(others, default=0) <= min(distances)
    if len(outlying) < max_count and others:
        assert sum(distances) >= abs(deviation) * len(known) - 1e-9
