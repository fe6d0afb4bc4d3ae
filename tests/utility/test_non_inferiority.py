"""The paired test of non-inferiority."""

from __future__ import annotations

import json
import math
import random
import statistics

import pytest

from erasetest.errors import BadInput
from erasetest.support.statistics import t_quantile
from erasetest.utility.non_inferiority import Power, compare, default_margin, power, utility_report
from erasetest.utility.scoring import Tally, UtilityScore


def _score(passed: list[int], n: int) -> UtilityScore:
    tallies = [
        Tally(f"T/{i}", {"passed": c, "failed": n - c, "timeout": 0}, n, 0.0)
        for i, c in enumerate(passed)
    ]
    return UtilityScore(n, tallies, ("limits",))


def test_bounds_by_hand() -> None:
    """Differences 0.1, -0.1, 0.1, -0.1: mean 0, sd 0.11547, t(3) 2.353363, over sqrt 4."""
    found = compare(_score([5, 5, 5, 5], 10), _score([6, 4, 6, 4], 10))
    assert found.mean == pytest.approx(0)
    assert found.lower_95 == pytest.approx(-2.353363 * 0.1154701 / 2, abs=1e-6)
    assert found.upper_95 == pytest.approx(-found.lower_95)
    assert found.verdict == "inconclusive"


def test_no_change_passes() -> None:
    """1.8 % of 164 problems may have changed unobserved, which is within the margin."""
    found = compare(_score([3, 5] * 82, 10), _score([3, 5] * 82, 10))
    assert (found.mean, found.verdict) == (0, "pass")
    assert found.lower_95 == pytest.approx(-(1 - 0.05 ** (1 / 164)))
    assert found.samples_to_decide is None


def test_no_change_on_few_problems_is_inconclusive() -> None:
    """Ten unchanged problems are compatible with a change of a quarter of all problems."""
    found = compare(_score([9] * 10, 10), _score([9] * 10, 10))
    assert found.verdict == "inconclusive"
    assert found.lower_95 == pytest.approx(-0.2589, abs=1e-4)


def test_clear_drop_fails() -> None:
    """A drop of 20 points on every problem is a failure, not inconclusive."""
    found = compare(_score([8, 9, 7, 8], 10), _score([6, 7, 5, 6], 10))
    assert found.verdict == "fail"
    assert found.upper_95 < -found.margin


def test_clear_gain_passes() -> None:
    """A gain is not a drop."""
    assert compare(_score([5, 6] * 50, 10), _score([6, 7] * 50, 10)).verdict == "pass"


def test_margin_is_two_points_or_a_tenth() -> None:
    """The default margin is the smaller of the two, from the score before."""
    assert default_margin(0.5) == pytest.approx(0.02)
    assert default_margin(0.1) == pytest.approx(0.01)
    assert compare(_score([1, 1], 10), _score([1, 1], 10)).margin == pytest.approx(0.01)
    assert compare(_score([9, 9], 10), _score([9, 9], 10), margin=0.3).margin == 0.3


def test_a_clm_that_solves_nothing_is_inconclusive() -> None:
    """A tenth of zero is no margin: there was no utility to lose."""
    for margin in (None, 0.02, 1.0):
        found = compare(_score([0] * 200, 10), _score([0] * 200, 10), margin=margin)
        assert (found.verdict, found.samples_to_decide) == ("inconclusive", None)


def test_one_problem_is_inconclusive() -> None:
    """One problem has no variance, so the bounds are the widest."""
    found = compare(_score([9], 10), _score([9], 10))
    assert (found.lower_95, found.upper_95, found.verdict) == (-1, 1, "inconclusive")
    assert found.samples_to_decide is None


def _draw(rates: list[float], n: int, rng: random.Random) -> UtilityScore:
    return _score([sum(rng.random() < p for _ in range(n)) for p in rates], n)


def test_samples_to_decide_do_decide() -> None:
    """The same CLM twice, with too few samples; with the number that is reported, it passes."""
    rng = random.Random(5)
    rates = [rng.random() for _ in range(160)]
    found = compare(_draw(rates, 8, rng), _draw(rates, 8, rng))
    assert found.verdict == "inconclusive"
    assert found.samples_to_decide is not None
    assert 8 < found.samples_to_decide < 2000
    # The number holds for the observed mean; a fresh sample has another, so use more.
    n = 4 * found.samples_to_decide
    assert compare(_draw(rates, n, rng), _draw(rates, n, rng)).verdict == "pass"


def test_no_number_of_samples_decides_where_problems_truly_differ() -> None:
    """Problems that change from all passed to none passed have no sampling noise."""
    found = compare(_score([50, 0] * 10, 50), _score([0, 50] * 10, 50))
    assert (found.verdict, found.samples_to_decide) == ("inconclusive", None)


def test_one_sample_per_problem() -> None:
    """With one sample, as in greedy decoding, the estimate attributes all variance to noise."""
    found = compare(_score([1, 0, 1, 1] * 40, 1), _score([1, 1, 0, 1] * 40, 1))
    assert found.verdict == "inconclusive"
    assert found.samples_to_decide is not None
    assert found.samples_to_decide > 1


def test_other_problems_are_refused() -> None:
    """Pairing needs the same problems on both sides."""
    with pytest.raises(BadInput, match="same problems"):
        compare(_score([1, 2], 3), _score([1, 2, 3], 3))


@pytest.mark.parametrize("margin", [-0.1, 1.5, math.nan])
def test_margin_out_of_range_is_refused(margin: float) -> None:
    """A margin is a fraction."""
    with pytest.raises(BadInput, match="margin"):
        compare(_score([1, 2], 3), _score([1, 2], 3), margin=margin)


def test_report_part_is_of_the_contract() -> None:
    """The keys of the leakage report's "utility", in plain builtins."""
    report = utility_report(_score([5, 5, 4] * 60, 10), _score([5, 5, 4] * 60, 10))
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["problems"] == 180
    assert report["samples_per_problem"] == 10
    assert set(report["before"]) == set(report["after"]) == {"pass@1", "pass@5", "pass@10"}
    assert report["delta"]["pass@1"]["mean"] == 0
    assert -0.02 < report["delta"]["pass@1"]["lower_95"] < 0
    assert report["margin"] == 0.02
    assert report["verdict"] == "pass"


# The gate decides rightly, by simulation

PROBLEMS, SAMPLES, DRAWS = 164, 50, 400


def _rates(draw: random.Random) -> list[float]:
    """Return rates like those on HumanEval at temperature 0.2: most near 0 or 1, some between."""
    return [draw.betavariate(0.35, 0.55) for _ in range(PROBLEMS)]


def _fewer(rates: list[float], drop: float, draw: random.Random, share: float) -> list[float]:
    """Return rates whose mean is lower by `drop`, on that share of the problems if possible."""
    lowered, left = list(rates), drop * len(rates)
    order = draw.sample(range(len(rates)), len(rates))
    few = max(1, round(share * len(rates)))
    step = left / few
    # If a rate is too low for that drop, further rates are lowered, repeatedly.
    while left > 1e-9:
        for number in order[:few]:
            taken = min(lowered[number], step, left)
            lowered[number] -= taken
            left -= taken
        few = len(order)
    return lowered


@pytest.mark.parametrize("share", [1.0, 0.2, 0.03], ids=["all", "a fifth", "a few problems"])
def test_a_drop_as_large_as_the_margin_is_rarely_accepted(share: float) -> None:
    """At most 5 %, both if every problem became slightly harder and if a few were lost."""
    draw = random.Random(1)
    accepted = 0
    for _ in range(DRAWS):
        rates = _rates(draw)
        margin = default_margin(sum(rates) / PROBLEMS)
        after = _draw(_fewer(rates, margin, draw, share), SAMPLES, draw)
        found = compare(_draw(rates, SAMPLES, draw), after, margin=margin, resamples=500)
        accepted += found.verdict == "pass"
    # 5 % of 400 is 20; a gate that accepted 5 % would have more than 29 once in 60 draws.
    assert accepted <= 29


def test_an_unchanged_clm_passes_in_simulations() -> None:
    """With 164 problems and 50 samples, at least 95 %, as `power` computes."""
    draw = random.Random(2)
    accepted, planned = 0, []
    for _ in range(DRAWS):
        rates = _rates(draw)
        before = _draw(rates, SAMPLES, draw)
        found = compare(before, _draw(rates, SAMPLES, draw), resamples=500)
        accepted += found.verdict == "pass"
        foreseen = power(before, found.margin)
        assert foreseen is not None
        planned.append(foreseen.if_unchanged)
    assert accepted >= 0.95 * DRAWS
    assert sum(planned) / DRAWS == pytest.approx(accepted / DRAWS, abs=0.03)


def test_a_drop_is_detected_as_often_as_computed() -> None:
    """At `drop_at_80`, the upper bound by t is below 0 in 80 % of simulations."""
    draw = random.Random(3)
    seen = 0
    for _ in range(DRAWS):
        rates = _rates(draw)
        before = _draw(rates, SAMPLES, draw)
        foreseen = power(before, 0.02)
        assert foreseen is not None
        after = _draw(_fewer(rates, foreseen.drop_at_80, draw, 1.0), SAMPLES, draw)
        seen += compare(before, after, resamples=50).by_t[1] < 0
    assert 0.70 <= seen / DRAWS <= 0.90


def test_power_needs_two_samples() -> None:
    """The variance of a rate cannot be estimated from one sample."""
    assert power(_score([1, 0, 1], 1), 0.02) is None


def test_power_is_that_of_the_comparison_where_nothing_varies() -> None:
    """With too few problems nothing passes; neither does it with one more that got worse."""
    few, enough = _score([5] * 148, 5), _score([5] * 149, 5)
    assert power(few, 0.02) == Power(0.0, pytest.approx(1 - 0.05 ** (1 / 148)))
    assert power(enough, 0.02) == Power(1.0, pytest.approx(1 - 0.05 ** (1 / 149)))
    assert compare(few, few).verdict == "inconclusive"
    assert compare(enough, enough).verdict == "pass"
    for scores in ((few, few), (_score([100] * 10, 100), _score([99] + [100] * 9, 100))):
        found = compare(*scores)
        assert (found.verdict, found.problems_to_decide) == ("inconclusive", 149)
    worse = compare(few, _score([3] * 148, 5))
    assert (worse.verdict, worse.problems_to_decide) == ("fail", None)


def test_the_number_of_samples_is_the_minimum_that_decides() -> None:
    """By definition: t sqrt((S + W / n) / P) is at most the distance to the margin."""
    rng = random.Random(5)
    rates = [rng.random() for _ in range(160)]
    before, after = _draw(rates, 8, rng), _draw(rates, 8, rng)
    found = compare(before, after)
    assert found.samples_to_decide is not None
    shares = [[c / 8 for c in score.passed.values()] for score in (before, after)]
    one_sample = sum(sum(p * (1 - p) for p in each) / 160 * 8 / 7 for each in shares)
    differences = [b - a for a, b in zip(*shares, strict=True)]
    spread = max(0.0, statistics.variance(differences) - one_sample / 8)

    def half_width(samples: int) -> float:
        return t_quantile(0.95, 159) * math.sqrt((spread + one_sample / samples) / 160)

    gap = found.mean + found.margin
    assert half_width(found.samples_to_decide) <= gap < half_width(found.samples_to_decide - 1)


def test_the_wider_of_both_bounds_counts() -> None:
    """The bootstrap is wider for few large changes, and t for many small ones."""
    found = compare(_score([10] * 160, 10), _score([10] * 158 + [0] * 2, 10))
    assert found.by_bootstrap[0] != found.by_t[0]
    assert found.lower_95 == min(found.by_t[0], found.by_bootstrap[0])
    assert found.upper_95 == max(found.by_t[1], found.by_bootstrap[1])


def test_the_bootstrap_is_that_of_its_definition() -> None:
    """Resamples of two problems have three means; the bounds are quantiles of them."""
    found = compare(_score([0, 0], 10), _score([0, 5], 10), margin=0.2, resamples=4000)
    assert found.by_bootstrap == (0.0, 0.5)
    same = compare(_score([0, 0], 10), _score([0, 5], 10), margin=0.2, resamples=4000)
    assert same == found
    assert found.lower_95 == min(found.by_t[0], 0.0)
