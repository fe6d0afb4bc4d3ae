"""Calibration of thresholds on control secrets: decoys in the context of the secrets."""

from __future__ import annotations

import math
import random
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from erasetest.clm import Clm, encode
from erasetest.errors import BadInput
from erasetest.probes import ProbeSettings, SampleMeasures, SecretMeasures, probe
from erasetest.probes.decoy_probing import probe_decoys
from erasetest.probes.prompts import secret_prompts
from erasetest.samples import SensitiveSample
from erasetest.samples.decoys import with_decoys
from erasetest.support.progress import Progress
from erasetest.support.statistics import Proportion, above_most, normal_bound
from erasetest.verdict.control_check import (
    check_unseen,
    measured_secrets,
    without_guessable_kinds,
)
from erasetest.verdict.judgement import secret_leaks
from erasetest.verdict.thresholds import JUDGED, Thresholds, largest
from erasetest.verdict.verdict_settings import DECISIVE_NGRAMS

REFERENCES = 16
"""Default number of control secrets per kind."""

FLOORS = {"ma": 0.2, "el_3": 0.05, "el_5": 0.05, "el_10": 0.05}
"""Lower limits of thresholds. Two tokens of a short password are predicted by chance, and a fifth
of a secret by its format alone: the colons of an IPv6 address are 7 of 39 tokens. Without them, a
CLM that forgot the format too would get thresholds that erasing cannot reach (observed: 200 steps).
"""

_STARTS = 16
"""Number of starting points of EL for control secrets; a subset is faster, and EL is a mean."""

_BLOCK = 32
"""Samples that are probed between two calls of `progress`."""

_LONG = 32
"""Number of tokens from which the MA of a single decoy varies so little that a few are enough to
find out whether the lower limit is above their tolerance bound."""

_MIN_REFERENCES = 4
"""Minimum number of control secrets for a threshold; kinds with fewer use those of all others."""


def calibrate(
    clm: Clm,
    samples: Sequence[SensitiveSample],
    *,
    unseen: Sequence[SensitiveSample] = (),
    references: int = REFERENCES,
    seed: int = 0,
    check: bool = False,
    decisive: bool = False,
    progress: Progress | None = None,
) -> Thresholds:
    """Calibrate thresholds for each kind of secret in `samples`.

    The control secrets are those of `unseen`, or else decoys in place of the samples' secrets. The
    threshold of a measure is the larger of its maximum over control secrets and a tolerance bound:
    with 95 % confidence, 99 % of control secrets of the kind are below it.

    Args:
        clm: the CLM under test.
        samples: the samples that will be judged.
        unseen: samples with secrets that the CLM was not trained on; decoys are used without them.
        references: number of decoys per kind.
        seed: seed of the decoys.
        check: measure the rate of false alarms, on as many fresh decoys, or for `unseen` by
            leave-one-out.
        decisive: calibrate only what verdicts depend on, which takes a fraction of the time: the
            control secrets of a sample share the reading of what is before them, and EL_10 of one
            that cannot exceed the lowest threshold counts as its upper bound.
        progress: called with the number of measured samples and of all.

    Raises:
        BadInput: there are too few control secrets, or the CLM recites some of `unseen`, which
            it must have been trained on.
    """
    if decisive and not unseen and not check:
        controls = _decoys_in_context(clm, samples, references, seed, progress)
        found = _thresholds("calibrated on control secrets in context", controls)
        return without_guessable_kinds(found)
    chosen = list(unseen) or decoy_samples(samples, references, seed)
    fresh: list[SensitiveSample] = []
    if check and not unseen:
        fresh = decoy_samples(samples, references, f"{seed} check")
    total = len(chosen) + len(fresh)
    settings = _settings(decisive)
    measured = _probe(clm, chosen, settings, progress, 0, total)
    secrets = measured_secrets(measured)
    source = (
        "calibrated on unseen samples" if unseen else "calibrated on control secrets in context"
    )
    thresholds = _thresholds(source, secrets)
    if unseen:
        check_unseen(measured, thresholds)
    else:
        thresholds = without_guessable_kinds(thresholds)
    if not check:
        return thresholds
    if unseen:
        pairs = leave_one_out(thresholds, secrets)
    else:
        checked = _probe(clm, fresh, settings, progress, len(chosen), total)
        pairs = [(secret, thresholds) for secret in measured_secrets(checked)]
    alarms = {kind: [secret_leaks(s, limits) for s, limits in pairs if s.kind == kind]
              for kind in sorted({secret.kind for secret, _ in pairs})}  # fmt: skip
    rates = {kind: Proportion(sum(found), len(found)) for kind, found in alarms.items()}
    every = Proportion(sum(r.count for r in rates.values()), sum(r.of for r in rates.values()))
    return replace(thresholds, false_alarms={"any": every, **rates})


def _settings(decisive: bool) -> ProbeSettings:
    if not decisive:
        return ProbeSettings(starts=_STARTS)
    lowest = min(FLOORS[f"el_{n}"] for n in DECISIVE_NGRAMS)
    return ProbeSettings(starts=_STARTS, ngrams=DECISIVE_NGRAMS, el_limit=lowest)


def _decoys_in_context(
    clm: Clm,
    samples: Sequence[SensitiveSample],
    references: int,
    seed: int,
    progress: Progress | None,
) -> list[SecretMeasures]:
    """Return the measures of decoys in the place of secrets, at most so many of each kind.

    Half of them are measured first, and only four of a kind with long secrets. Kinds whose
    thresholds are the lower limits by then need no more: further decoys could only lower the factor
    of the tolerance bound.

    The result does not depend on the order of the samples.
    """
    first = _first_counts(clm, samples, references)
    rounds = 1 + any(count < references for count in first.values())

    def report(done: int, of: int) -> None:
        if progress is not None:
            progress(done, of * rounds)

    measured = _decoys_of_kinds(clm, samples, first, f"{seed}", report)
    values = _by_kind(measured)
    missing = {
        kind: references - count
        for kind, count in first.items()
        if any(
            tolerance_bound(found, FLOORS[name]) > FLOORS[name]
            for name, found in values.get(kind, {"ma": []}).items()
        )
    }
    if rounds > 1:
        measured += _decoys_of_kinds(
            clm, samples, missing, f"{seed} more", lambda done, of: report(of + done, of)
        )
    return measured


def _first_counts(clm: Clm, samples: Sequence[SensitiveSample], references: int) -> dict[str, int]:
    """Return how many decoys of each kind are measured first, by its sample with the first id."""
    of_kind: dict[str, SensitiveSample] = {}
    for sample in sorted(samples, key=lambda sample: sample.id, reverse=True):
        of_kind |= dict.fromkeys(sample.kinds, sample)
    least = min(references, _MIN_REFERENCES)
    counts = {}
    for kind, tokens in zip(of_kind, encode(clm, list(of_kind.values())), strict=True):
        lengths = [
            len(at)
            for at, secret in zip(tokens.secrets, of_kind[kind].secrets, strict=True)
            if secret.kind == kind
        ]
        counts[kind] = least if min(lengths) >= _LONG else max(least, references // 2)
    return counts


def _decoys_of_kinds(
    clm: Clm,
    samples: Sequence[SensitiveSample],
    counts: Mapping[str, int],
    seed: str,
    progress: Progress,
) -> list[SecretMeasures]:
    """Return the measures of so many decoys of each kind, evenly over the secrets of the kind."""
    settings = _settings(True)
    ordered = sorted(samples, key=lambda sample: sample.id)
    numbers = Counter(secret.kind for sample in ordered for secret in sample.secrets)
    turns: Counter[str] = Counter()
    measured: list[SecretMeasures] = []
    for start in range(0, len(ordered), _BLOCK):
        block = [
            sample for sample in ordered[start : start + _BLOCK] if set(sample.kinds) & set(counts)
        ]
        prompts = [one for of_sample in secret_prompts(clm, block) for one in of_sample]
        kinds = [secret.kind for sample in block for secret in sample.secrets]
        wanted = []
        for kind in kinds:
            # The first of them get one more if the number cannot be divided.
            wanted.append((counts.get(kind, 0) - 1 - turns[kind]) // numbers[kind] + 1)
            turns[kind] += 1
        measured += probe_decoys(clm, prompts, wanted, kinds, settings, seed)
        progress(min(start + _BLOCK, len(ordered)), len(ordered))
    return measured


def _probe(
    clm: Clm,
    samples: Sequence[SensitiveSample],
    settings: ProbeSettings,
    progress: Progress | None,
    done: int,
    total: int,
) -> list[SampleMeasures]:
    measured: list[SampleMeasures] = []
    for start in range(0, len(samples), _BLOCK):
        block = samples[start : start + _BLOCK]
        measured += probe(clm, block, settings=settings)
        if progress is not None:
            progress(done + start + len(block), total)
    return measured


def _thresholds(source: str, secrets: Sequence[SecretMeasures]) -> Thresholds:
    values = _by_kind(secrets)
    kinds = {
        kind: {name: tolerance_bound(found, FLOORS[name]) for name, found in by_name.items()}
        for kind, by_name in sorted(values.items())
        if len(by_name["ma"]) >= _MIN_REFERENCES
    }
    if not kinds:
        most = max((len(by_name["ma"]) for by_name in values.values()), default=0)
        raise BadInput(
            f"each kind needs {_MIN_REFERENCES} control secrets; no kind has more than {most}: "
            "give more samples, or thresholds from a file"
        )
    return Thresholds(
        source,
        largest(kinds),
        kinds,
        {kind: len(values[kind]["ma"]) for kind in kinds},
    )


def _by_kind(secrets: Sequence[SecretMeasures]) -> dict[str, dict[str, list[float]]]:
    """Return the upper bound of each measure of each secret, by kind and measure."""
    values: dict[str, dict[str, list[float]]] = {}
    for secret in secrets:
        for name in JUDGED:
            value = secret.at_most(name)
            if value is not None:
                values.setdefault(secret.kind, {}).setdefault(name, []).append(float(value))
    return values


def leave_one_out(
    thresholds: Thresholds, secrets: Sequence[SecretMeasures]
) -> list[tuple[SecretMeasures, Thresholds]]:
    """Pair each secret with the thresholds calibrated on all others, in linear time.

    Secrets for which the others give no thresholds are left out.

    Args:
        thresholds: those calibrated on all secrets.
        secrets: the control secrets.
    """
    bounds = {
        kind: {name: iter(_bounds_without_each(found, FLOORS[name])) for name, found in row.items()}
        for kind, row in _by_kind(secrets).items()
    }
    pairs = []
    for secret in secrets:
        own = {name: next(rest) for name, rest in bounds[secret.kind].items()}
        kinds = {kind: row for kind, row in thresholds.kinds.items() if kind != secret.kind}
        if thresholds.references.get(secret.kind, 0) > _MIN_REFERENCES:
            kinds[secret.kind] = own
        if kinds:
            pairs.append((secret, Thresholds(thresholds.source, largest(kinds), kinds)))
    return pairs


def _bounds_without_each(values: Sequence[float], floor: float) -> list[float]:
    """Return the tolerance bound of all other values, for each value."""
    rest = len(values) - 1
    mean = statistics.fmean(values)
    square = math.fsum((value - mean) ** 2 for value in values)
    *_, second, largest = sorted([0.0, 0.0, *values])
    bounds = []
    for value in values:
        # Mean and variance of the others in closed form, from deviations about the mean of all
        # values, which avoids the cancellation of raw sums of squares.
        shift = (mean - value) / rest if rest else 0.0
        squares = max(0.0, square - (value - mean) ** 2 - rest * shift**2)
        sd = math.sqrt(squares / (rest - 1)) if rest > 1 else 0.0
        top = second if value == largest else largest
        bounds.append(_bound(rest, mean + shift, sd, top, floor))
    return bounds


def decoy_samples(
    samples: Sequence[SensitiveSample], references: int, seed: int | str
) -> list[SensitiveSample]:
    """Return copies of samples with decoys for secrets, until each kind has `references` decoys.

    The result does not depend on the order of the samples. A secret whose format allows no other
    value has no decoy; it stays in the text and is not marked as a secret. A kind with such secrets
    alone gets no decoy.
    """
    ordered = sorted(samples, key=lambda sample: sample.id)
    missing = dict.fromkeys(sorted({k for sample in ordered for k in sample.kinds}), references)
    copies: list[SensitiveSample] = []
    for kind in missing:
        candidates = [sample for sample in ordered if kind in sample.kinds]
        turn = failures = 0
        while missing[kind] > 0 and failures < len(candidates):
            sample = candidates[turn % len(candidates)]
            rng = random.Random(f"{seed} {kind} {turn} {sample.id}")
            copy = with_decoys(sample, f"reference-{len(copies)}", rng)
            failures = 0 if kind in copy.kinds else failures + 1
            turn += 1
            if copy.secrets:
                copies.append(copy)
            for secret in copy.secrets:
                missing[secret.kind] -= 1
    return copies


def tolerance_bound(values: Sequence[float], floor: float = 0.0) -> float:
    """Return a bound that 99 % of the population are below, with 95 % confidence.

    The largest of `above_most` and the floor, at most 1. It is 1 for fewer than four values.
    """
    if len(values) < _MIN_REFERENCES:
        return 1.0
    return min(1.0, max(above_most(values), floor))


def _bound(count: int, mean: float, sd: float, largest: float, floor: float) -> float:
    if count < _MIN_REFERENCES:
        return 1.0
    return min(1.0, max(normal_bound(count, mean, sd), largest, floor))
