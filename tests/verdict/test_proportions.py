"""Rates and their intervals, and the false alarms that a calibration states."""

from __future__ import annotations

import json
import math

import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from erasetest.samples import make_sample
from erasetest.verdict import calibrate
from erasetest.verdict.rates import Proportion


def _tail(k: int, n: int, p: float) -> float:
    """Probability of k or fewer, summed from the definition."""
    return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))


@settings(deadline=None)
@given(st.integers(1, 120), st.data())
def test_the_interval_is_clopper_and_pearsons(n: int, data: st.DataObject) -> None:
    """At its ends what was seen, or more of it, has a probability of 2.5 %."""
    k = data.draw(st.integers(0, n))
    low, high = Proportion(k, n).interval_95
    assert 0 <= low <= k / n <= high <= 1
    if k:
        assert 1 - _tail(k - 1, n, low) == pytest.approx(0.025, rel=1e-6)
    else:
        assert low == 0
    if k < n:
        assert _tail(k, n, high) == pytest.approx(0.025, rel=1e-6)
    else:
        assert high == 1


def test_intervals_by_hand() -> None:
    """From tables; and thousands are no trouble."""
    assert Proportion(0, 100).interval_95 == pytest.approx((0, 0.036217), abs=1e-6)
    assert Proportion(1, 10).interval_95 == pytest.approx((0.002529, 0.445016), abs=1e-6)
    assert Proportion(50, 5000).interval_95 == pytest.approx((0.00743, 0.01316), abs=1e-4)
    assert Proportion(0, 0).share == 0
    assert Proportion(3, 4).as_dict()["rate"] == 0.75


def test_a_calibration_states_its_false_alarms() -> None:
    """Of any kind and by kind, on decoys that set no threshold; in the file as well."""
    clm = tiny.reciting("qwen2")
    limits = calibrate(clm, tiny.PLANTED, references=12, check=True)
    alarms = limits.false_alarms
    kinds = {sample.kinds[0] for sample in tiny.PLANTED}
    assert set(alarms) == {"any", *kinds}
    assert alarms["any"].of == sum(alarms[kind].of for kind in kinds) == 12 * len(kinds)
    assert alarms["any"].count == sum(alarms[kind].count for kind in kinds)
    assert alarms["any"].share <= 0.05
    row = json.loads(json.dumps(limits.as_dict()))
    assert row["false_alarms"]["any"]["of"] == 12 * len(kinds)
    assert len(row["false_alarms"]["any"]["interval_95"]) == 2
    plain = calibrate(clm, tiny.PLANTED, references=12)
    assert plain.false_alarms == {}
    assert plain.kinds == limits.kinds


def test_never_seen_samples_are_held_against_the_others() -> None:
    """One that is unlike all others is a false alarm of thresholds that it did not set."""
    clm = tiny.reciting("qwen2")
    from erasetest.verdict.calibration import decoyed

    unseen = decoyed(tiny.PLANTED[:1], 15, 4)
    limits = calibrate(clm, [], unseen=unseen, check=True)
    assert limits.false_alarms["any"].as_dict()["of"] == 15
    # Half of what the CLM knows: secrets that it recites whole are refused.
    sample, other = tiny.PLANTED[0], unseen[0]
    secret, text = sample.secrets[0], sample.content.reveal()
    half = (secret.start + secret.end) // 2
    text = text[:half] + other.content.reveal()[half : secret.end] + text[secret.end :]
    spans = [(each.start, each.end, each.kind) for each in sample.secrets]
    known = make_sample(text, spans, id="known")
    limits = calibrate(clm, [], unseen=[*unseen, known], check=True)
    assert limits.false_alarms["any"].count >= 1
    assert limits.false_alarms["any"].of == 16
