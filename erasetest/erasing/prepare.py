"""Check a request to erase, and tokenize its samples, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from erasetest.clm.model import Clm
from erasetest.erasing.erasure_settings import ErasureSettings, learning_rate
from erasetest.erasing.examples import (
    Span,
    TokenizedExample,
    append_eos,
    forget_examples,
    retained_examples,
    unmarked_secrets,
)
from erasetest.erasing.objectives import METHODS, Method
from erasetest.erasing.prompt_examples import ForgetGroup, forget_groups
from erasetest.erasing.trainable import check_trainable
from erasetest.errors import BadInput
from erasetest.probes.text_probing import mean_copying_accuracy
from erasetest.samples import SensitiveSample
from erasetest.samples.repeats import repeated_strings
from erasetest.samples.retained import check_disjoint

_REPEATS_EVERY = 8
"""One more retained text for so many: it contains a random string twice. Suppressing secrets that
texts repeat could teach the CLM not to copy, which users need."""

_COPIES = 0.5
"""MA of such strings from which a CLM copies: there is no skill to preserve in others."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request to erase that passed all checks, with its samples tokenized."""

    clm: Clm
    settings: ErasureSettings
    """Settings with the learning rate set."""
    samples: list[SensitiveSample]
    """The samples to erase, followed by those erased earlier."""
    earlier: int
    """Number of samples erased earlier."""
    unmarked: list[list[Span]]
    """Secrets that are not marked in the sample in whose text they occur (`unmarked_secrets`)."""
    forget: list[TokenizedExample]
    """The examples of whole texts, in the order of the samples."""
    groups: list[ForgetGroup]
    """The same, each with the examples of the other prompts of its secrets."""
    retained: list[TokenizedExample]

    @property
    def method(self) -> Method:
        """The erasing method."""
        return METHODS[self.settings.method]


def prepare(
    clm: Clm,
    samples: Sequence[SensitiveSample],
    retained: Sequence[SensitiveSample],
    settings: ErasureSettings,
    earlier: Sequence[SensitiveSample] = (),
) -> Prepared:
    """Check a request to erase, and tokenize its samples. The CLM is not changed.

    Args:
        clm: the CLM to erase from.
        samples: the samples to erase.
        retained: code whose behaviour must not change.
        settings: settings of the erasure.
        earlier: samples erased before, to be kept erased.

    Raises:
        BadInput: the CLM cannot be erased by this method or adapter; a sample has no secret, or one
            that does not fit the window; retained code is missing, or holds a secret.
    """
    check_clm(clm, settings)
    judged = [*samples, *earlier]
    check_disjoint(judged, retained)
    unmarked = unmarked_secrets(judged)
    forget, _ = forget_examples(clm, judged, unmarked)
    count = -(-len(retained) // _REPEATS_EVERY)
    repeats = repeated_strings(retained, judged, count, settings.seed)
    copies = mean_copying_accuracy(clm, repeats) >= _COPIES
    kept = retained_examples(clm, [*retained, *(repeats if copies else [])])
    groups = forget_groups(clm, judged, forget, unmarked)
    if METHODS[settings.method].appends_eos:
        forget, kept = append_eos(clm, forget), append_eos(clm, kept)
        longest = append_eos(clm, [group.longest for group in groups])
        groups = [replace(g, longest=one) for g, one in zip(groups, longest, strict=True)]
    if settings.lr is None:
        settings = replace(settings, lr=learning_rate(clm.width, settings.method, settings.lora))
    return Prepared(clm, settings, judged, len(earlier), unmarked, forget, groups, kept)


def check_clm(clm: Clm, settings: ErasureSettings) -> None:
    """Refuse a CLM that cannot be erased with these settings.

    Raises:
        BadInput: the weights are quantized, the adapter's rank is above the CLM's width, or the
            method is `lasting` and some weights are not matrices.
    """
    check_trainable(clm, settings.lora)
    # Noise goes to matrices only: others, such as stacked experts, would keep what they know.
    if METHODS[settings.method].distills and any(p.ndim > 2 for p in clm.model.parameters()):
        raise BadInput(
            f"{clm.name}: a {clm.family} has weights that are not matrices (experts, "
            f"convolutions), which {settings.method} cannot erase: choose another method"
        )
