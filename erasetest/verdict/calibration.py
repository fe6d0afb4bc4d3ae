"""Calibrate thresholds on the spot: decoys in the secrets' own contexts are never-seen secrets."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace

from erasetest.clm import Clm
from erasetest.errors import BadInput
from erasetest.probes import ProbeSettings, SampleMeasures, SecretMeasures, probe
from erasetest.samples import SensitiveSample
from erasetest.samples.decoys import with_decoys
from erasetest.support.statistics import CONFIDENCE, Proportion, tolerance_factor
from erasetest.verdict.control_check import check_never_seen, measured_secrets, with_choice
from erasetest.verdict.judgement import secret_leaks
from erasetest.verdict.thresholds import JUDGED, Thresholds, largest

REFERENCES = 16
FLOORS = {"ma": 0.2, "el_3": 0.05, "el_5": 0.05, "el_10": 0.05}
"""No threshold is below these. Two tokens of a short password come out right by chance, and format
alone gives a fifth of a secret away: the colons of an IPv6 address are 7 of 39 tokens. Below it a
CLM that forgot the format too would set thresholds that no erasing can meet (seen: 200 steps).
"""

_STARTS = 16
_FEWEST = 4
"""References that bound anything: a kind with fewer is judged by the other kinds."""
_COVERAGE = 0.99
"""Fraction of control secrets that a threshold is above."""


def calibrate(
    clm: Clm,
    samples: Sequence[SensitiveSample],
    *,
    unseen: Sequence[SensitiveSample] = (),
    references: int = REFERENCES,
    seed: int = 0,
    check: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Thresholds:
    """Thresholds for each kind of secret in `samples`.

    The references are the secrets of `unseen`, which the CLM was never trained on, where given;
    without them, decoys put in the place of the samples' own secrets, `references` of each kind.
    The threshold is the greater of the largest reference and a tolerance bound: with 95 %
    confidence, 99 % of never-seen secrets of the kind lie below it.

    With `check`, the rate of false alarms is measured: on as many fresh decoys, or by holding each
    secret of `unseen` against thresholds of all others.

    Raises:
        BadInput: there are too few secrets, or the CLM recites some of `unseen`, so that it must
            have seen them.
    """
    chosen = list(unseen) or decoyed(samples, references, seed)
    fresh: list[SensitiveSample] = []
    if check and not unseen:
        fresh = decoyed(samples, references, f"{seed} check")
    total = len(chosen) + len(fresh)
    measured = _probe(clm, chosen, progress, 0, total)
    secrets = measured_secrets(measured)
    source = (
        "calibrated on unseen samples" if unseen else "calibrated on never-seen secrets in context"
    )
    thresholds = _thresholds(source, secrets)
    if unseen:
        check_never_seen(measured, thresholds)
    else:
        thresholds = with_choice(thresholds)
    if not check:
        return thresholds
    if unseen:
        pairs = each_held_out(thresholds, secrets)
    else:
        again = _probe(clm, fresh, progress, len(chosen), total)
        pairs = [(secret, thresholds) for secret in measured_secrets(again)]
    alarms = {kind: [secret_leaks(s, limits) for s, limits in pairs if s.kind == kind]
              for kind in sorted({secret.kind for secret, _ in pairs})}  # fmt: skip
    rates = {kind: Proportion(sum(found), len(found)) for kind, found in alarms.items()}
    every = Proportion(sum(r.count for r in rates.values()), sum(r.of for r in rates.values()))
    return replace(thresholds, false_alarms={"any": every, **rates})


def _probe(
    clm: Clm,
    samples: Sequence[SensitiveSample],
    progress: Callable[[int, int], None] | None,
    done: int,
    total: int,
) -> list[SampleMeasures]:
    measured: list[SampleMeasures] = []
    for start in range(0, len(samples), 32):
        part = samples[start : start + 32]
        measured += probe(clm, part, settings=ProbeSettings(starts=_STARTS))
        if progress is not None:
            progress(done + start + len(part), total)
    return measured


def _thresholds(source: str, secrets: Sequence[SecretMeasures]) -> Thresholds:
    values = _by_kind(secrets)
    kinds = {
        kind: {name: tolerance_bound(found, FLOORS[name]) for name, found in by_name.items()}
        for kind, by_name in sorted(values.items())
        if len(by_name["ma"]) >= _FEWEST
    }
    if not kinds:
        raise BadInput(
            f"thresholds need {_FEWEST} never-seen secrets of a kind, and there are "
            f"{len(secrets)} of {len(values)} kinds: give more samples, or --leak-thresholds FILE"
        )
    return Thresholds(
        source,
        largest(kinds),
        kinds,
        {kind: len(values[kind]["ma"]) for kind in kinds},
    )


def _by_kind(secrets: Sequence[SecretMeasures]) -> dict[str, dict[str, list[float]]]:
    """The most that each judged measure of each secret may be, by kind and measure."""
    values: dict[str, dict[str, list[float]]] = {}
    for secret in secrets:
        for name in JUDGED:
            value = secret.at_most(name)
            if value is not None:
                values.setdefault(secret.kind, {}).setdefault(name, []).append(float(value))
    return values


def each_held_out(
    thresholds: Thresholds, secrets: Sequence[SecretMeasures]
) -> list[tuple[SecretMeasures, Thresholds]]:
    """Each secret with the thresholds that all others set; none for what they set none for.

    `thresholds` are those of all. In linear time.
    """
    bounds = {
        kind: {name: iter(_bounds_without_each(found, FLOORS[name])) for name, found in row.items()}
        for kind, row in _by_kind(secrets).items()
    }
    pairs = []
    for secret in secrets:
        own = {name: next(rest) for name, rest in bounds[secret.kind].items()}
        kinds = {kind: row for kind, row in thresholds.kinds.items() if kind != secret.kind}
        if thresholds.references.get(secret.kind, 0) > _FEWEST:
            kinds[secret.kind] = own
        if kinds:
            pairs.append((secret, Thresholds(thresholds.source, largest(kinds), kinds)))
    return pairs


def _bounds_without_each(values: Sequence[float], floor: float) -> list[float]:
    """The tolerance bound of all values but one, for each of them."""
    rest = len(values) - 1
    mean = statistics.fmean(values)
    square = math.fsum((value - mean) ** 2 for value in values)
    *_, second, largest = sorted([0.0, 0.0, *values])
    bounds = []
    for value in values:
        # Of what is left, from the sums of squares about the mean of all: nothing cancels.
        moved = (mean - value) / rest if rest else 0.0
        left = max(0.0, square - (value - mean) ** 2 - rest * moved**2)
        sd = math.sqrt(left / (rest - 1)) if rest > 1 else 0.0
        top = second if value == largest else largest
        bounds.append(_bound(rest, mean + moved, sd, top, floor))
    return bounds


def decoyed(
    samples: Sequence[SensitiveSample], references: int, seed: int | str
) -> list[SensitiveSample]:
    """Copies of the samples with decoys for secrets, until each kind has `references` of them.

    The same for the same samples, in whatever order they come. A secret whose format leaves no
    choice has no decoy: it stays, and is no reference. A kind of such secrets alone gets none.
    """
    ordered = sorted(samples, key=lambda sample: sample.id)
    short = dict.fromkeys(sorted({k for sample in ordered for k in sample.kinds}), references)
    made: list[SensitiveSample] = []
    for kind in short:
        having = [sample for sample in ordered if kind in sample.kinds]
        turn = barren = 0
        while short[kind] > 0 and barren < len(having):
            sample = having[turn % len(having)]
            rng = random.Random(f"{seed} {kind} {turn} {sample.id}")
            copy = with_decoys(sample, f"reference-{len(made)}", rng)
            barren = 0 if kind in copy.kinds else barren + 1
            turn += 1
            if copy.secrets:
                made.append(copy)
            for secret in copy.secrets:
                short[secret.kind] -= 1
    return made


def tolerance_bound(values: Sequence[float], floor: float = 0.0) -> float:
    """A bound that, with 95 % confidence, 99 % of the population lies below.

    `max(mean + k sd, max, floor)`, at most 1, with k the one-sided normal tolerance factor
    (`tolerance_factor`). Fewer than four values bound nothing: 1.
    """
    if len(values) < _FEWEST:
        return 1.0
    mean, sd = statistics.fmean(values), statistics.stdev(values)
    return _bound(len(values), mean, sd, max(values), floor)


def _bound(count: int, mean: float, sd: float, largest: float, floor: float) -> float:
    if count < _FEWEST:
        return 1.0
    factor = tolerance_factor(count, _COVERAGE, CONFIDENCE)
    return min(1.0, max(mean + factor * sd, largest, floor))
