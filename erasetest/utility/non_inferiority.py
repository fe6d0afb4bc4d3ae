"""Whether utility dropped: a paired test of non-inferiority."""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict, dataclass
from typing import Any, Literal

from erasetest.errors import BadInput
from erasetest.support.statistics import t_quantile
from erasetest.utility.scoring import UtilityScore

CONFIDENCE = 0.95
RESAMPLES = 10_000
_AT_ONCE = 1000

Verdict = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The change of pass@1, after minus before, over paired problems; all in shares of 1.

    `lower_95` and `upper_95` are one-sided bounds, the wider of those by Student's t and by
    bootstrap. `samples_to_decide` is the number of samples per problem that would turn
    "inconclusive" into a verdict; None for a verdict, and where no number would.
    `problems_to_decide` is the fewest problems that allow a "pass", where these are fewer.
    """

    mean: float
    lower_95: float
    upper_95: float
    margin: float
    verdict: Verdict
    samples_to_decide: int | None
    problems_to_decide: int | None
    by_t: tuple[float, float]
    by_bootstrap: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Power:
    """What a comparison can see, known before there is anything to compare with.

    `if_unchanged` is the probability of "pass" where nothing has changed; `drop_at_80` is the true
    drop of pass@1 at which the bounds are below zero with a probability of 80 %.
    """

    if_unchanged: float
    drop_at_80: float


def power(before: UtilityScore, margin: float) -> Power | None:
    """The power of `compare` against this score, by the normal approximation.

    With p the rates of P problems and n samples each, a difference of two such scores has the
    variance 2 p (1 - p) / n; its mean over problems, over P, is se^2. Then `if_unchanged` is
    Phi(margin / se - 1.645) and `drop_at_80` is (1.645 + 0.842) se. None with a single sample a
    problem, which says nothing of p (1 - p). Where problems are too few (see `compare`), it counts.
    """
    n = before.samples_per_problem
    if n < 2:
        return None
    se = math.sqrt(2 * _sample_variance(before) / n / before.problems)
    normal = statistics.NormalDist()
    z = normal.inv_cdf(CONFIDENCE)
    unseen = _unseen(before.problems)
    passed = normal.cdf(margin / se - z) if se else float(unseen < margin)
    if unseen >= margin and se:
        passed = min(passed, normal.cdf((margin - unseen) / se))
    return Power(passed, (z + normal.inv_cdf(0.80)) * se or unseen)


def default_margin(before: float) -> float:
    """The drop of pass@1 that is tolerated: 2 points, or a tenth of the score before if less."""
    return min(0.02, 0.10 * before)


def compare(
    before: UtilityScore,
    after: UtilityScore,
    *,
    margin: float | None = None,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Test whether pass@1 dropped by less than the margin.

    With d the per-problem differences of pass@1, P their number, and t the 0.95 quantile of
    Student's t with P - 1 degrees of freedom, the bounds are mean(d) -+ t sd(d) / sqrt(P), or the
    0.05 and 0.95 quantiles of the mean of d drawn anew (bootstrap), whichever are wider:

    - "pass" if the lower bound is above -margin;
    - "fail" if the upper bound is below -margin;
    - else "inconclusive". A CLM that solves nothing before is always inconclusive.

    P problems, all the same before and after, leave room for others that are not: their share is
    up to `1 - 0.05^(1/P)` with 95 % confidence. Where that is not below the margin (it is from 149
    problems on, for 0.02), only a mean that makes up for it passes; and where no problem changed
    at all, it is the half-width.

    Args:
        before: the score of the CLM to compare with.
        after: the score of the CLM under test, on the same problems.
        margin: tolerated drop, fixed beforehand; None for `default_margin`.
        resamples: how often the problems are drawn anew; always the same draws.

    Raises:
        BadInput: the two are not of the same problems, or the margin is not in 0..1.
    """
    if before.passed.keys() != after.passed.keys():
        raise BadInput("the scores before and after are not of the same problems")
    rates_before = _rates(before)
    rates_after = [after.passed[task] / after.samples_per_problem for task in before.passed]
    if margin is None:
        margin = default_margin(statistics.fmean(rates_before))
    if not 0 <= margin <= 1:
        raise BadInput(f"the utility margin must be a share between 0 and 1, got {margin:g}")
    differences = [a - b for b, a in zip(rates_before, rates_after, strict=True)]
    mean = statistics.fmean(differences)
    half_width = _half_width(differences)
    by_t = max(mean - half_width, -1.0), min(mean + half_width, 1.0)
    by_bootstrap = _bootstrap(differences, resamples)
    lower, upper = min(by_t[0], by_bootstrap[0]), max(by_t[1], by_bootstrap[1])
    verdict = _verdict(lower, upper, margin) if any(rates_before) else "inconclusive"
    unseen = _unseen(len(differences))
    more_problems = None
    if verdict != "fail" and unseen >= margin > 0 and mean - unseen <= -margin:
        more_problems = math.ceil(math.log(1 - CONFIDENCE) / math.log1p(-margin))
    if more_problems is not None:
        verdict = "inconclusive"
    needed = None
    if verdict == "inconclusive" and more_problems is None:
        needed = _samples_to_decide(before, after, differences, margin)
    return Comparison(
        mean, lower, upper, margin, verdict, needed, more_problems, by_t, by_bootstrap
    )


def utility_report(
    before: UtilityScore, after: UtilityScore, *, margin: float | None = None
) -> dict[str, Any]:
    """The "utility" part of a leakage report, in plain builtins (shape: docs, Leakage report)."""
    found = compare(before, after, margin=margin)
    planned = power(before, found.margin)
    report: dict[str, Any] = {
        "problems": before.problems,
        "samples_per_problem": min(before.samples_per_problem, after.samples_per_problem),
        "before": before.pass_at_k,
        "after": after.pass_at_k,
        "delta": {
            "pass@1": {
                "mean": found.mean,
                "lower_95": found.lower_95,
                "upper_95": found.upper_95,
                "by_t": list(found.by_t),
                "by_bootstrap": list(found.by_bootstrap),
            }
        },
        "margin": found.margin,
        "verdict": found.verdict,
        "samples_to_decide": found.samples_to_decide,
        "problems_to_decide": found.problems_to_decide,
        "power": None if planned is None else asdict(planned),
        "sandbox": [layer for layer in before.layers if layer in after.layers],
    }
    for name in ("outcomes", "texts", "held_out", "how"):
        report[name] = {
            "before": dict(getattr(before, name)),
            "after": dict(getattr(after, name)),
        }
    return report


def _rates(score: UtilityScore) -> list[float]:
    return [passed / score.samples_per_problem for passed in score.passed.values()]


def _half_width(differences: list[float]) -> float:
    problems = len(differences)
    if problems < 2:
        return math.inf
    if not any(differences):
        return _unseen(problems)
    return _t(problems) * statistics.stdev(differences) / math.sqrt(problems)


def _unseen(problems: int) -> float:
    """The share of problems that may all change, and not be seen in so many that do not."""
    return float(1 - (1 - CONFIDENCE) ** (1 / problems))


def _bootstrap(differences: list[float], resamples: int) -> tuple[float, float]:
    # Not `scipy.stats.bootstrap`: it refuses a single problem, and gives the same bounds otherwise.
    import torch

    values = torch.tensor(differences, dtype=torch.float64)
    draws = torch.Generator().manual_seed(0)
    means = [
        values[torch.randint(len(values), (some, len(values)), generator=draws)].mean(1)
        for start in range(0, resamples, _AT_ONCE)
        for some in [min(_AT_ONCE, resamples - start)]
    ]
    quantiles = torch.tensor([1 - CONFIDENCE, CONFIDENCE], dtype=torch.float64)
    lower, upper = torch.cat(means).quantile(quantiles).tolist()
    return lower, upper


def _t(problems: int) -> float:
    return t_quantile(CONFIDENCE, problems - 1)


def _verdict(lower: float, upper: float, margin: float) -> Verdict:
    if lower > -margin:
        return "pass"
    return "fail" if upper < -margin else "inconclusive"


def _sample_variance(score: UtilityScore) -> float:
    """Mean over problems of p(1-p), the variance of one sample, without bias; needs n >= 2."""
    n = score.samples_per_problem
    return statistics.fmean(p * (1 - p) * n / (n - 1) for p in _rates(score))


def _samples_to_decide(
    before: UtilityScore, after: UtilityScore, differences: list[float], margin: float
) -> int | None:
    """Samples per problem at which a bound would reach -margin if the mean stays where it is.

    The variance of the differences is V = S + N: S, how much the problems truly differ, stays, and
    the sampling noise N = W / n, with W the variance of one sample before and one after, shrinks
    with n. Solved for n: t^2 (S + W / n) / P = (mean + margin)^2. With one sample a problem N
    cannot be told from S; all of V is then taken for noise, and the number is a lower bound.
    """
    problems = len(differences)
    if problems < 2:
        return None
    variance = statistics.variance(differences)
    fewest = min(before.samples_per_problem, after.samples_per_problem)
    most = max(before.samples_per_problem, after.samples_per_problem)
    if fewest == 1:
        one_sample = noise = variance
    else:
        of_before, of_after = _sample_variance(before), _sample_variance(after)
        one_sample = of_before + of_after
        noise = of_before / before.samples_per_problem + of_after / after.samples_per_problem
    spread = max(0.0, variance - noise)
    gap = statistics.fmean(differences) + margin
    allowed = problems * gap**2 / _t(problems) ** 2 - spread
    if allowed <= 0 or one_sample <= 0:
        return None
    return max(most + 1, math.ceil(one_sample / allowed))
