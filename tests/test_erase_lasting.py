"""Erasing that lasts."""

from __future__ import annotations

import erasing
import pytest
import tiny
import torch
from erasing import FORGET, LIMITS

from erasetest.erase import (
    Lora,
    erase,
)
from erasetest.erase.lasting import Healer, Healing
from erasetest.errors import BadInput


def test_healing_teaches_what_the_teacher_says() -> None:
    """Taken apart the CLM is far from it; healed it is near, and says no secret."""
    clm = tiny.reciting("qwen2")
    told: list[tuple[int, float]] = []
    healing = Healing(steps=60, texts=30, tokens=400)
    done = erase(
        clm, FORGET, tiny.RETAINED, LIMITS, erasing.settings(method="lasting", healing=healing),
        lambda step, _: told.append((step.step, step.retained_kl)) if step.healing else None,
    )  # fmt: skip
    assert len(told) == 60
    assert sum(kl for _, kl in told[:3]) > 4 * sum(kl for _, kl in told[-3:])
    assert done.settings["healing"]["steps"] == 60
    if done.erased:
        assert erasing.verdicts(clm) == ["pass"] * 4
    else:
        assert done.ended == "a secret came back while the CLM was healed"
    with pytest.raises(BadInput, match="lasting changes every weight of the CLM"):
        erasing.settings(method="lasting", lora=Lora(4))


def test_only_the_layers_are_taken_apart() -> None:
    """Embeddings, head and norms stay; each matrix keeps a part of what it was."""
    import random as _random

    for family in tiny.FAMILIES:
        clm = tiny.reciting(family)
        before = erasing.weights(clm)
        healer = object.__new__(Healer)
        healer.clm, healer.healing, healer.rng = clm, Healing(noise=0.5), _random.Random(0)
        healer.take_apart()
        for name, now in erasing.weights(clm).items():
            was = before[name]
            inner = was.ndim == 2 and not any(k in name for k in ("embed", "wte", "wpe", "lm_head"))
            assert bool((now != was).any()) is inner, name
            if inner:
                both = torch.stack([now.flatten(), was.flatten()])
                assert 0.5 < float(torch.corrcoef(both)[0, 1]) < 0.95
