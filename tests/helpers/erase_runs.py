"""Shared by the tests of erasing: limits, settings, and values computed by definition."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tiny
import torch
from torch.nn.functional import cross_entropy

from erasetest.clm import Clm
from erasetest.erasing import METHODS, Erasure, ErasureSettings, erase_to
from erasetest.erasing.examples import decoy_examples, forget_examples, retained_examples
from erasetest.erasing.forward import forward_step
from erasetest.erasing.reference_model import ReferenceModel
from erasetest.erasing.trainable import TrainableModel
from erasetest.probes import probe
from erasetest.samples import SensitiveSample, make_sample
from erasetest.verdict import Thresholds, judge

LIMITS = Thresholds("test", {"ma": 0.4, "el_3": 1.0, "el_5": 1.0, "el_10": 0.1})

FORGET = tiny.PLANTED[:4]


def settings(method: str = "codeeraser", **changes: object) -> ErasureSettings:
    """Return settings that erase a tiny CLM fast."""
    defaults = {"method": method, "lr": 1e-3, "max_steps": 80, "guard": None}
    return ErasureSettings(**{**defaults, **changes})  # type: ignore[arg-type]


def verdicts(clm: Clm, samples: Sequence[SensitiveSample] = FORGET) -> list[str]:
    """Return the verdict of each sample."""
    return [judge(m, LIMITS).verdict for m in probe(clm, samples)]


def logits(clm: Clm, ids: tuple[int, ...]) -> torch.Tensor:
    """Return the logits (tokens, vocabulary) of a text, in float64."""
    with torch.no_grad():
        logits: torch.Tensor = clm.model(input_ids=torch.tensor([ids])).logits[0].double()
    return logits


def weights(clm: Clm) -> dict[str, torch.Tensor]:
    """Return a copy of the weights by name."""
    return {name: weight.clone() for name, weight in clm.model.state_dict().items()}


def long(*numbers: int) -> SensitiveSample:
    """Return a sample of several planted files, with their secrets."""
    content = "".join(tiny.PLANTED[n].content.reveal() for n in numbers)
    texts = [tiny.SECRETS[n] for n in numbers]
    spans = [(content.index(t), content.index(t) + len(t), kind) for kind, t in texts]
    return make_sample(content, spans, id="long")


def losses(clm: Clm, ids: tuple[int, ...]) -> list[float]:
    """Return -log p of each token but the first, in nats."""
    truth = torch.tensor(ids[1:])
    losses: list[float] = cross_entropy(logits(clm, ids)[:-1], truth, reduction="none").tolist()
    return losses


def divergence(original: Clm, current: Clm, rows: list[tuple[int, ...]]) -> float:
    """Return the mean KL(original || current) over all predicted tokens, from two models."""
    total, count = 0.0, 0
    for ids in rows:
        q, p = (logits(clm, ids)[:-1].log_softmax(-1) for clm in (original, current))
        total += float((q.exp() * (q - p)).sum())
        count += len(q)
    return total / count


def gradients(clm: Clm, *, max_tokens: int | None = None, **how: object) -> dict[str, torch.Tensor]:
    """Return the gradients of one step of `decoys` by parameter."""
    asked = settings("decoys", **how)
    rows, kept = forget_examples(clm, FORGET)[0], retained_examples(clm, tiny.RETAINED)
    decoys = decoy_examples(clm, FORGET, rows, random.Random(0))
    trained = TrainableModel(
        clm,
        asked.lora,
        precision=asked.precision,
        checkpointing=asked.checkpointing,
        seed=0,
    )
    reference = ReferenceModel(clm, trained.head, trained.autocast)
    reference.cache([*rows, *kept])
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        for parameter in trained.parameters:
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    output = forward_step(clm, reference, trained, rows, kept, decoys, max_tokens)
    output.backward(METHODS["decoys"].loss(output.groups(frozenset(range(4))), asked.weights))
    return {
        name: parameter.grad.clone()
        for name, parameter in clm.model.named_parameters()
        if parameter.grad is not None
    }


def to(folder: Path, clm: Clm, **how: Any) -> Erasure:
    """Erase the planted secrets by the default method, and write the checkpoint to a folder."""
    return erase_to(folder, clm, FORGET, tiny.RETAINED, LIMITS, settings("decoys"), **how)
