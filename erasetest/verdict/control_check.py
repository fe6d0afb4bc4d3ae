"""Whether the references of a calibration are secrets that the CLM never saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from erasetest.errors import BadInput
from erasetest.probes import SampleMeasures, SecretMeasures
from erasetest.verdict.thresholds import Thresholds, largest

RECITED_MA = 0.9
"""From this MA on a secret counts as recited, as it does where samples at risk are chosen."""

_RECITED_SHARE = 0.1
"""Never-seen secrets come out right by chance: a few do, this share of them does not."""

_NAMED = 5
"""Samples that a message names; it counts all."""


def measured_secrets(samples: Sequence[SampleMeasures]) -> list[SecretMeasures]:
    """The secrets that could be measured."""
    return [secret for sample in samples for secret in sample.secrets if secret.measures]


def check_never_seen(samples: Sequence[SampleMeasures], thresholds: Thresholds) -> None:
    """Refuse references that the CLM knows: their thresholds would let what it knows pass.

    Raises:
        BadInput: one in ten is recited, or so much of a kind that its thresholds are 1.
    """
    recited = [sample.id for sample in samples for _ in _recited(sample)]
    total = len(measured_secrets(samples))
    useless = [place for place in thresholds.without_effect() if place != "measures"]
    if not useless and len(recited) < _RECITED_SHARE * total:
        return
    if not recited:
        raise BadInput(
            f"thresholds of {_few(useless)} would be 1, which no secret is above: the values of "
            "its never-seen secrets differ too much for their number, so give more"
        )
    high = f"of {_few(useless)} would be 1" if useless else "calibrated on them would be too high"
    raise BadInput(
        f"{len(recited)} of {total} secrets, given as never seen, are recited by the CLM "
        f"(extracted, or with an MA of {RECITED_MA:g} or more; samples "
        f"{_few(list(dict.fromkeys(recited)))}): thresholds {high}, and let secrets pass that it "
        "remembers: leave these samples out, or give secrets that it was not trained on"
    )


def _recited(sample: SampleMeasures) -> list[SecretMeasures]:
    return [
        secret
        for secret in sample.secrets
        if secret.measures
        and (secret.at_most("extracted") or (secret.at_most("ma") or 0) >= RECITED_MA)
    ]


def with_choice(thresholds: Thresholds) -> Thresholds:
    """The thresholds without those of kinds whose decoys come out whole by chance.

    Their format leaves so little choice that decoys bound nothing, as where there are too few of
    them; the other kinds' thresholds are then theirs.

    Raises:
        BadInput: no other kind is left.
    """
    useless = [place for place in thresholds.without_effect() if place != "measures"]
    if not useless:
        return thresholds
    kinds = {kind: row for kind, row in thresholds.kinds.items() if kind not in useless}
    if not kinds:
        raise BadInput(
            f"thresholds of {_few(useless)} would be 1, which no secret is "
            "above: their formats leave so little choice that decoys come out right by chance: "
            "give --leak-thresholds FILE"
        )
    return replace(
        thresholds,
        any_kind=largest(kinds),
        kinds=kinds,
        references={kind: thresholds.references[kind] for kind in kinds},
    )


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
