"""The original CLM as reference, without a second model."""

from __future__ import annotations

import copy
from pathlib import Path

import erase_runs
import pytest
import tiny
import torch
from erase_runs import FORGET, LIMITS

from erasetest.clm import Clm, load_clm
from erasetest.erasing import erase
from erasetest.erasing.examples import forget_examples, retained_examples
from erasetest.erasing.objectives import Tokens
from erasetest.erasing.reference_model import ReferenceModel
from erasetest.errors import ErasureError


def _reference(clm: Clm) -> ReferenceModel:
    return ReferenceModel(clm, copy.deepcopy(clm.model.get_output_embeddings()))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_divergence_from_the_reference_is_that_of_two_models(family: str, tied: bool) -> None:
    """Hidden states and a frozen head replace the original, after any change of the CLM."""
    clm = tiny.reciting(family, tied=tied)
    original = tiny.reciting(family, tied=tied)
    rows = [*forget_examples(clm, FORGET)[0], *retained_examples(clm, tiny.RETAINED)]
    reference = _reference(clm)
    reference.cache(rows)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in clm.model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    current = torch.cat([erase_runs.logits(clm, row.ids)[:-1].float() for row in rows])
    places = [torch.arange(len(row.ids) - 1) for row in rows]
    tokens = Tokens.of(
        current,
        reference.logits(reference.states(rows, places)),
        torch.tensor([token for row in rows for token in row.ids[1:]]),
    )
    wanted = erase_runs.divergence(original, clm, [row.ids for row in rows])
    assert wanted > 0.01
    assert float(tokens.divergence()) == pytest.approx(wanted, abs=1e-5)


def test_reference_returns_the_requested_positions() -> None:
    """In the order of examples and positions."""
    clm = tiny.reciting("qwen2")
    rows = retained_examples(clm, tiny.RETAINED)
    reference = _reference(clm)
    reference.cache(rows)
    found = reference.logits(
        reference.states([rows[3], rows[0]], [torch.tensor([4, 1]), torch.tensor([2])])
    )
    three, zero = erase_runs.logits(clm, rows[3].ids), erase_runs.logits(clm, rows[0].ids)
    wanted = torch.stack([three[4], three[1], zero[2]]).log_softmax(-1)
    torch.testing.assert_close(found.log_softmax(-1).double(), wanted, rtol=1e-4, atol=1e-4)


def test_a_head_that_is_more_than_a_matrix_cannot_be_erased() -> None:
    """Refused before anything is changed."""
    clm = tiny.reciting("gpt2")
    clm.capabilities["head"] = False
    before = erase_runs.weights(clm)
    with pytest.raises(ErasureError, match="computes its logits by more than a matrix"):
        erase(clm, FORGET, tiny.RETAINED, LIMITS, erase_runs.settings())
    torch.testing.assert_close(erase_runs.weights(clm), before)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_divergence_is_that_of_two_models_on_a_sharded_checkpoint(
    family: str, tied: bool, tmp_path: Path
) -> None:
    """The retained divergence of a second step against both models, loaded from shards."""
    clm = tiny.reciting(family, tied=tied)
    clm.model.save_pretrained(tmp_path, max_shard_size="40KB")
    clm.tokenizer.save_pretrained(tmp_path)
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    original, once, twice = (load_clm(str(tmp_path)) for _ in range(3))
    erase(once, FORGET[:2], tiny.RETAINED[:2], LIMITS, erase_runs.settings(max_steps=1))
    erasure = erase(twice, FORGET[:2], tiny.RETAINED[:2], LIMITS, erase_runs.settings(max_steps=2))
    total, count = 0.0, 0
    for row in retained_examples(original, tiny.RETAINED[:2]):
        with torch.no_grad():
            q, p = (
                c.model(input_ids=torch.tensor([row.ids])).logits[0, :-1].double().log_softmax(-1)
                for c in (original, once)
            )
        total += float((q.exp() * (q - p)).sum())
        count += len(q)
    assert total / count > 1e-5
    assert erasure.history[1].retained_kl == pytest.approx(total / count, abs=1e-5)
