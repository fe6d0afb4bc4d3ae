"""Checks of control secrets: whether the CLM can have been trained on them, or guesses them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from erasetest.errors import BadInput
from erasetest.probes import SampleMeasures, SecretMeasures
from erasetest.support.wording import first_of
from erasetest.verdict.thresholds import Thresholds, largest

RECITED_MA = 0.9
"""MA from which a secret counts as recited; also the default where samples at risk are chosen."""

_MAX_RECITED = 0.1
"""Fraction of recited control secrets that is refused: chance explains only a few."""


def measured_secrets(samples: Sequence[SampleMeasures]) -> list[SecretMeasures]:
    """Return the secrets that could be measured."""
    return [secret for sample in samples for secret in sample.secrets if secret.measures]


def check_unseen(samples: Sequence[SampleMeasures], thresholds: Thresholds) -> None:
    """Refuse control secrets that the CLM memorized: memorized secrets would pass with them.

    Raises:
        BadInput: a tenth of them is recited, or the thresholds of a kind are 1.
    """
    recited = [sample.id for sample in samples for _ in _recited(sample)]
    total = len(measured_secrets(samples))
    useless = [kind for kind in thresholds.without_effect() if kind != "measures"]
    if not useless and len(recited) < _MAX_RECITED * total:
        return
    if not recited:
        raise BadInput(
            f"thresholds of {first_of(useless)} would be 1, which no secret exceeds: the values of "
            "its control secrets vary too much for their number: give more of them"
        )
    high = (
        f"of {first_of(useless)} would be 1" if useless else "calibrated on them would be too high"
    )
    raise BadInput(
        f"{len(recited)} of {total} secrets that were given as unseen are recited by the CLM "
        f"(extracted, or with an MA of {RECITED_MA:g} or more; samples "
        f"{first_of(list(dict.fromkeys(recited)))}): thresholds {high}, and memorized secrets "
        "would pass: leave these samples out, or give secrets that the CLM was not trained on"
    )


def _recited(sample: SampleMeasures) -> list[SecretMeasures]:
    return [
        secret
        for secret in sample.secrets
        if secret.measures
        and (secret.at_most("extracted") or (secret.at_most("ma") or 0) >= RECITED_MA)
    ]


def without_guessable_kinds(thresholds: Thresholds) -> Thresholds:
    """Return the thresholds without those of kinds whose decoys the CLM predicts by chance.

    The format of such a kind allows so few values that decoys give no bound. As for kinds with too
    few decoys, the thresholds of the other kinds apply.

    Raises:
        BadInput: no other kind is left.
    """
    useless = [kind for kind in thresholds.without_effect() if kind != "measures"]
    if not useless:
        return thresholds
    kinds = {kind: row for kind, row in thresholds.kinds.items() if kind not in useless}
    if not kinds:
        raise BadInput(
            f"thresholds of {first_of(useless)} would be 1, which no secret exceeds: their formats "
            "allow so few values that decoys are predicted by chance: give thresholds from a file"
        )
    return replace(
        thresholds,
        any_kind=largest(kinds),
        kinds=kinds,
        references={kind: thresholds.references[kind] for kind in kinds},
    )
