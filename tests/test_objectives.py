"""What erasing minimizes, term by term against the formulas."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from erasetest.erase.objectives import OBJECTIVES, Tokens, Weights

VOCABULARY = 11
WEIGHTS = Weights(gamma=0.3, lam=0.2, alpha=7.0)
SIZES = [(3, 5, 4), (1, 1, 1), (4, 0, 2), (0, 4, 2), (2, 3, 0), (0, 0, 0)]


def _tokens(count: int, seed: int) -> Tokens:
    generator = torch.Generator().manual_seed(seed)
    current = torch.randn(count, VOCABULARY, generator=generator).requires_grad_()
    original = torch.randn(count, VOCABULARY, generator=generator)
    truth = torch.randint(VOCABULARY, (count,), generator=generator)
    return Tokens(current.log_softmax(-1), original.log_softmax(-1), truth)


def _loss(*groups: Tokens) -> float:
    """Mean of -log p(truth) over the tokens of the groups."""
    losses = [
        -float(group.current[i][group.truth[i]].detach())
        for group in groups
        for i in range(len(group.truth))
    ]
    return sum(losses) / len(losses) if losses else 0.0


def _divergence(*groups: Tokens) -> float:
    """Mean over the tokens of the sum over the vocabulary of q (log q - log p)."""
    found = [
        sum(
            math.exp(float(q)) * (float(q) - float(p))
            for q, p in zip(group.original[i], group.current[i], strict=True)
        )
        for group in groups
        for i in range(len(group.truth))
    ]
    return sum(found) / len(found) if found else 0.0


def _by_definition(method: str, secret: Tokens, context: Tokens, retained: Tokens) -> float:
    w = WEIGHTS
    if method == "ga":
        return -_loss(secret, context)
    keep = w.lam * w.alpha * _divergence(retained)
    if method == "cu":
        return -_loss(secret, context) - w.lam * _divergence(secret, context) + keep
    return -_loss(secret) + w.gamma * _loss(context) - w.lam * _divergence(secret) + keep


def _repeat(tokens: Tokens, times: int) -> Tokens:
    return Tokens(
        tokens.current.repeat(times, 1),
        tokens.original.repeat(times, 1),
        tokens.truth.repeat(times),
    )


def test_the_papers_methods_are_there() -> None:
    """Under their names."""
    assert {"ga", "cu", "codeeraser"} <= set(OBJECTIVES)


@pytest.mark.parametrize("method", ["ga", "cu", "codeeraser"])
@pytest.mark.parametrize("sizes", SIZES)
def test_a_method_is_its_formula(method: str, sizes: tuple[int, int, int]) -> None:
    """With any group empty, that term is 0."""
    groups = [_tokens(count, seed) for seed, count in enumerate(sizes)]
    found = OBJECTIVES[method](*groups, WEIGHTS)
    assert found.shape == ()
    assert float(found.detach()) == pytest.approx(_by_definition(method, *groups), abs=1e-5)


@pytest.mark.parametrize("method", OBJECTIVES)
@given(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), st.integers(2, 5))
def test_repeating_a_group_changes_nothing(
    method: str, sizes: tuple[int, int, int], times: int
) -> None:
    """Each term is a mean over its tokens: more of the same texts weigh no more."""
    groups = [_tokens(count, seed) for seed, count in enumerate(sizes)]
    plain = OBJECTIVES[method](*groups, WEIGHTS)
    whole = OBJECTIVES[method](*(_repeat(group, times) for group in groups), WEIGHTS)
    assert float(whole) == pytest.approx(float(plain), abs=1e-5)
    if method not in ("ga", "cu"):
        return
    # In these two the secrets and their context are one group.
    retained = OBJECTIVES[method](*groups[:2], _repeat(groups[2], times), WEIGHTS)
    assert float(retained) == pytest.approx(float(plain), abs=1e-5)


@pytest.mark.parametrize("method", OBJECTIVES)
@pytest.mark.parametrize("sizes", SIZES)
def test_gradients_are_finite(method: str, sizes: tuple[int, int, int]) -> None:
    """Also where a group has no tokens."""
    groups = [_tokens(count, seed) for seed, count in enumerate(sizes)]
    leaves = [torch.zeros(count, VOCABULARY, requires_grad=True) for count in sizes]
    shifted = [
        Tokens((g.current.detach() + leaf).log_softmax(-1), g.original, g.truth)
        for g, leaf in zip(groups, leaves, strict=True)
    ]
    loss = OBJECTIVES[method](*shifted, WEIGHTS)
    assert loss.isfinite()
    if sum(sizes):
        loss.backward()
    for leaf in leaves:
        assert leaf.grad is None or leaf.grad.isfinite().all()


def test_an_unchanged_clm_diverges_by_nothing() -> None:
    """KL is 0 where nothing changed, and above 0 where anything did."""
    tokens = _tokens(5, 0)
    same = Tokens(tokens.original, tokens.original, tokens.truth)
    assert float(same.divergence()) == pytest.approx(0, abs=1e-6)
    assert float(tokens.divergence()) > 0.01


def test_tokens_that_are_certain_give_finite_divergence() -> None:
    """Probability 0 in the original counts nothing, though its logarithm is infinite."""
    certain = torch.full((2, VOCABULARY), -1e4)
    certain[:, 3] = 0
    tokens = Tokens(_tokens(2, 1).current, certain.log_softmax(-1), torch.tensor([3, 3]))
    assert float(tokens.divergence()) == pytest.approx(float(tokens.loss()), abs=1e-4)


def test_default_weights_are_the_papers() -> None:
    """gamma 0.1 and lambda 0.1; alpha counts tokens where the paper's code counts texts."""
    assert (Weights().gamma, Weights().lam) == (0.1, 0.1)
    assert Weights().alpha == 511
