"""Comparison of two utility scores: a paired test of non-inferiority."""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict, dataclass
from typing import Any, Literal

from erasetest.errors import BadInput
from erasetest.support.statistics import t_quantile
from erasetest.utility.scoring import UtilityScore

CONFIDENCE = 0.95
"""Confidence level of each one-sided bound."""

RESAMPLES = 10_000
"""Number of bootstrap resamples."""

_RESAMPLES_PER_BATCH = 1000
"""Resamples that are in memory at a time."""

_POWER = 0.80
"""Power that `drop_at_80` is reported for."""

Verdict = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The change of pass@1, after minus before, over paired problems; all values are fractions.

    `lower_95` and `upper_95` are one-sided 95 % bounds, the wider of those by Student's t and by
    bootstrap. `samples_to_decide` is the estimated number of samples per problem that would turn
    "inconclusive" into a verdict; None if there is a verdict or no number would suffice.
    `problems_to_decide` is the minimum number of problems for a "pass", if there are fewer.
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
    """The power of a comparison, computed from the score before alone.

    `if_unchanged` is the probability of "pass" for an unchanged CLM; `drop_at_80` is the true drop
    of pass@1 for which the upper bound is below zero with a probability of 80 %.
    """

    if_unchanged: float
    drop_at_80: float


def power(before: UtilityScore, margin: float) -> Power | None:
    """Return the power of `compare` against this score, by the normal approximation.

    With p the pass rate of a problem and n samples each, the difference of two scores of a problem
    has variance 2 p (1 - p) / n; se^2 is its mean over the P problems, divided by P. Then
    `if_unchanged` is Phi(margin / se - 1.645) and `drop_at_80` is (1.645 + 0.842) se, both limited
    by the number of problems (see `compare`). None with one sample per problem, from which
    p (1 - p) cannot be estimated.
    """
    n = before.samples_per_problem
    if n < 2:
        return None
    se = math.sqrt(2 * _sample_variance(before) / n / before.problems)
    normal = statistics.NormalDist()
    z = normal.inv_cdf(CONFIDENCE)
    unobserved = _unobserved_share(before.problems)
    passed = normal.cdf(margin / se - z) if se else float(unobserved < margin)
    if unobserved >= margin and se:
        passed = min(passed, normal.cdf((margin - unobserved) / se))
    return Power(passed, (z + normal.inv_cdf(_POWER)) * se or unobserved)


def default_margin(before: float) -> float:
    """Return the allowed drop of pass@1: 0.02, or a tenth of the score before if that is less."""
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
    0.05 and 0.95 quantiles of the mean of d over bootstrap resamples, whichever are wider:

    - "pass" if the lower bound is above -margin;
    - "fail" if the upper bound is below -margin;
    - else "inconclusive". A CLM that solves no problem before is always inconclusive.

    Both bounds have width zero if no problem of the P changed, although the fraction of problems
    that change may be up to u = `1 - 0.05^(1/P)` with 95 % confidence (no event in P trials). So u
    is then the half-width. If u is not below the margin (for 0.02: with fewer than 149 problems),
    "pass" also requires mean(d) - u > -margin.

    Args:
        before: the score of the CLM to compare with.
        after: the score of the CLM under test, on the same problems.
        margin: allowed drop, fixed beforehand; None for `default_margin`.
        resamples: number of bootstrap resamples; the seed is fixed.

    Raises:
        BadInput: the two are not of the same problems, or the margin is not in 0..1.
    """
    if before.passed.keys() != after.passed.keys():
        raise BadInput("the scores before and after are not of the same problems")
    rates_before = _rates(before)
    passed_after = after.passed  # once: it is computed from all problems
    rates_after = [passed_after[task] / after.samples_per_problem for task in before.passed]
    if margin is None:
        margin = default_margin(statistics.fmean(rates_before))
    if not 0 <= margin <= 1:
        raise BadInput(f"the utility margin must be between 0 and 1, got {margin:g}")
    differences = [a - b for b, a in zip(rates_before, rates_after, strict=True)]
    mean = statistics.fmean(differences)
    half_width = _half_width(differences)
    by_t = max(mean - half_width, -1.0), min(mean + half_width, 1.0)
    by_bootstrap = _bootstrap(differences, resamples)
    lower, upper = min(by_t[0], by_bootstrap[0]), max(by_t[1], by_bootstrap[1])
    verdict = _verdict(lower, upper, margin) if any(rates_before) else "inconclusive"
    unobserved = _unobserved_share(len(differences))
    min_problems = None
    if verdict != "fail" and unobserved >= margin > 0 and mean - unobserved <= -margin:
        # The smallest P with 1 - 0.05^(1/P) <= margin.
        min_problems = math.ceil(math.log(1 - CONFIDENCE) / math.log1p(-margin))
    if min_problems is not None:
        verdict = "inconclusive"
    samples = None
    if verdict == "inconclusive" and min_problems is None:
        samples = _samples_to_decide(before, after, differences, margin)
    return Comparison(
        mean, lower, upper, margin, verdict, samples, min_problems, by_t, by_bootstrap
    )


def utility_report(
    before: UtilityScore, after: UtilityScore, *, margin: float | None = None
) -> dict[str, Any]:
    """Return the "utility" part of a leakage report, in plain builtins.

    `reports/leakage-report.schema.json` and `docs/reference/report.md` describe its keys.
    """
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
        return _unobserved_share(problems)
    return _t(problems) * statistics.stdev(differences) / math.sqrt(problems)


def _unobserved_share(problems: int) -> float:
    """Return the upper 95 % bound of the fraction of changed problems if none of P changed."""
    return float(1 - (1 - CONFIDENCE) ** (1 / problems))


def _bootstrap(differences: list[float], resamples: int) -> tuple[float, float]:
    # Not `scipy.stats.bootstrap`: it refuses a single problem, and gives the same bounds otherwise.
    import torch

    values = torch.tensor(differences, dtype=torch.float64)
    draws = torch.Generator().manual_seed(0)
    means = [
        values[torch.randint(len(values), (count, len(values)), generator=draws)].mean(1)
        for start in range(0, resamples, _RESAMPLES_PER_BATCH)
        for count in [min(_RESAMPLES_PER_BATCH, resamples - start)]
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
    """Return the unbiased mean over problems of p (1 - p), the variance of one sample; n >= 2."""
    n = score.samples_per_problem
    return statistics.fmean(p * (1 - p) * n / (n - 1) for p in _rates(score))


def _samples_to_decide(
    before: UtilityScore, after: UtilityScore, differences: list[float], margin: float
) -> int | None:
    """Return the samples per problem at which a bound would reach -margin for the same mean.

    The variance of the differences is V = S + N: the true variance S between problems is constant,
    and the sampling noise N = W / n, with W the variance of one sample before plus one after,
    decreases with n. Solved for n: t^2 (S + W / n) / P = (mean + margin)^2. With one sample per
    problem, N and S cannot be separated; V is then attributed to noise, and n is a lower bound.
    """
    problems = len(differences)
    if problems < 2:
        return None
    variance = statistics.variance(differences)
    min_samples = min(before.samples_per_problem, after.samples_per_problem)
    max_samples = max(before.samples_per_problem, after.samples_per_problem)
    if min_samples == 1:
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
    return max(max_samples + 1, math.ceil(one_sample / allowed))
