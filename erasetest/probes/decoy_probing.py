"""Measure decoys in the place of secrets: control secrets in context."""

from __future__ import annotations

import math
from collections.abc import Sequence

from erasetest.clm import Clm
from erasetest.probes.decoy_scores import by_decoy, decoy_spans
from erasetest.probes.measures import SecretMeasures
from erasetest.probes.probe_settings import ProbeSettings
from erasetest.probes.prompts import SecretPrompts
from erasetest.probes.span_measures import (
    accuracy_of,
    bounds_of_others,
    measures_of_paths,
    ngrams_to_measure,
    worst_of,
)
from erasetest.probes.tie_analysis import decode_paths


def probe_decoys(
    clm: Clm,
    prompts: Sequence[SecretPrompts],
    counts: Sequence[int],
    kinds: Sequence[str],
    settings: ProbeSettings,
    seed: int | str = 0,
) -> list[SecretMeasures]:
    """Measure MA and EL of decoys in the place of secrets, after the same prompts.

    Like those of a secret, the measures of a decoy are the worst over the prompts. What all decoys
    of a secret have before them is read once. Unlike `probe`, this does not find out whether they
    are extracted.

    Args:
        clm: the CLM to probe.
        prompts: the prompts of each secret.
        counts: maximum number of decoys for each secret.
        kinds: the kind of each secret.
        settings: what to measure.
        seed: seed of the decoys.
    """
    asked = [
        (span, count)
        for one, count in zip(prompts, counts, strict=True)
        for span in one.clean.values()
    ]
    drawn = iter(decoy_spans(clm, [span for span, _ in asked], [count for _, count in asked], seed))
    controls = [
        (of_decoy, kind)
        for one, kind in zip(prompts, kinds, strict=True)
        for of_decoy in by_decoy([next(drawn) for _ in one.clean])
        if not any(math.isnan(value) for span in of_decoy for value in span.scores.log_probs)
    ]
    decoys = [span for of_decoy, _ in controls for span in of_decoy]
    ngrams = [ngrams_to_measure(clm, decoy, settings) for decoy in decoys]
    to_decode = [number for number, n in enumerate(ngrams) if n]
    paths = decode_paths(
        clm,
        [decoys[number] for number in to_decode],
        [min(ngrams[number]) for number in to_decode],
        settings.starts,
    )
    decoded = dict(zip(to_decode, paths, strict=True))
    found = []
    for number, (decoy, n) in enumerate(zip(decoys, ngrams, strict=True)):
        values, reach = accuracy_of(clm, decoy)
        if number in decoded:
            of_paths, bounds = measures_of_paths(clm, decoded[number], n)
            values |= {name: of_paths[name] for name in (f"el_{k}" for k in n)}
            reach |= {name: ends for name, ends in bounds.items() if name in values}
        found.append((values, reach | bounds_of_others(clm, decoy, settings, n)))
    in_order = iter(found)
    measured = []
    for of_decoy, kind in controls:
        values, reach = worst_of([next(in_order) for _ in of_decoy])
        secret = of_decoy[0].text.secrets[of_decoy[0].place]
        measured.append(SecretMeasures(secret.start, secret.end, kind, values, None, reach))
    return measured
