"""Teacher-forced scores against one plain forward pass a row."""

from __future__ import annotations

import random

import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st

from erasetest.clm import Clm, Scored, Target, score
from erasetest.clm.score import batches, head, hidden_states, like_lengths, pad_right


def _targets(clm: Clm) -> list[Target]:
    rng = random.Random(5)
    texts = [sample.content.reveal() for sample in (*tiny.PLANTED, *tiny.RETAINED)]
    targets = []
    for ids in clm.tokenizer(texts)["input_ids"]:
        last = rng.randrange(2, min(len(ids), tiny.WINDOW) + 1)
        targets.append(Target(tuple(ids[:last]), rng.randrange(1, last), last))
    long = clm.tokenizer("".join(texts[:3]))["input_ids"][: tiny.WINDOW]
    return [*targets, Target(tuple(long), 1, len(long)), Target(tuple(long[:9]), 8, 9)]


@torch.no_grad()
def _plain(clm: Clm, target: Target) -> Scored:
    logits = clm.model(input_ids=torch.tensor([target.ids])).logits[0].double()
    greedy = [int(logits[i - 1].argmax()) for i in range(target.first, target.last)]
    log_probs = [
        float(logits[i - 1][target.ids[i]] - logits[i - 1].logsumexp(0))
        for i in range(target.first, target.last)
    ]
    return Scored(tuple(greedy), tuple(log_probs))


@pytest.mark.parametrize("head_is_separate", [True, False])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_scores_are_those_of_a_plain_pass(family: str, head_is_separate: bool) -> None:
    """Batched, padded and by selected rows, a score is what the row alone gives."""
    clm = tiny.reciting(family)
    if not head_is_separate:
        clm.checked["head"] = False
    targets = _targets(clm)
    for target, scored in zip(targets, score(clm, targets), strict=True):
        wanted = _plain(clm, target)
        assert scored.greedy == wanted.greedy
        assert scored.log_probs == pytest.approx(wanted.log_probs, abs=1e-4)
    assert clm.checked["head"] is head_is_separate


@pytest.mark.parametrize("batch_tokens", [1, 120, 100_000])
def test_the_batch_changes_nothing(batch_tokens: int) -> None:
    """Results come in the order of the targets, and `progress` counts them."""
    clm = tiny.reciting("gpt2")
    targets = _targets(clm)
    wanted = score(clm, targets)
    clm.batch_tokens = batch_tokens
    told: list[int] = []
    for found, one in zip(score(clm, targets, told.append), wanted, strict=True):
        assert found.greedy == one.greedy
        assert found.log_probs == pytest.approx(one.log_probs, abs=1e-5)
    assert sum(told) == len(targets)


def test_nothing_to_score() -> None:
    """No targets, no scores."""
    assert score(tiny.untrained("gpt2"), []) == []


def test_a_head_that_is_more_than_a_matrix_is_not_split_off() -> None:
    """Logits that are capped behind the head are read whole."""
    clm = tiny.reciting("qwen2")
    plain = clm.model.forward

    def capped(*args: object, **kwargs: object) -> object:
        out = plain(*args, **kwargs)
        out.logits = 2 * torch.tanh(out.logits / 2)
        return out

    clm.model.forward = capped
    target = _targets(clm)[0]
    assert score(clm, [target])[0].log_probs == pytest.approx(
        _plain(clm, target).log_probs, abs=1e-4
    )
    assert clm.checked["head"] is False
    assert hidden_states(clm, torch.tensor([[1, 2]])) is None


@pytest.mark.parametrize("family", tiny.FAMILIES)
@pytest.mark.parametrize("tied", [True, False])
def test_head_of_hidden_states_is_the_logits(family: str, tied: bool) -> None:
    """Shared or not, the output head on hidden states gives the CLM's own logits."""
    clm = tiny.untrained(family, tied=tied)
    ids = torch.tensor([[9, 8, 7, 6]])
    with torch.no_grad():
        hidden = hidden_states(clm, ids)
        assert hidden is not None
        torch.testing.assert_close(head(clm, hidden), clm.model(input_ids=ids).logits)


@given(st.lists(st.integers(1, 50)), st.integers(1, 200))
def test_batches_hold_each_index_once_within_the_budget(lengths: list[int], budget: int) -> None:
    """Rows x longest row stays within the budget, but for a row that alone is over it."""
    found = list(batches(lengths, budget))
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    for batch in found:
        longest = max(lengths[i] for i in batch)
        assert len(batch) == 1 or len(batch) * longest <= budget


@given(st.lists(st.integers(1, 500)), st.floats(1, 3))
def test_like_lengths_hold_each_index_once(lengths: list[int], slack: float) -> None:
    """In a group the longest is at most `slack` times the shortest."""
    groups = like_lengths(lengths, slack)
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    for group in groups:
        assert max(lengths[i] for i in group) <= slack * min(lengths[i] for i in group)


def test_pad_right() -> None:
    """Rows begin at the left; the filler stands behind them."""
    padded = pad_right([[1, 2, 3], [4]], 9, torch.device("cpu"))
    assert padded.tolist() == [[1, 2, 3], [4, 9, 9]]
