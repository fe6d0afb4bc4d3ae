"""Per-token statistics of logits, against their definition in plain operators."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from erasetest.erasing import token_statistics
from erasetest.erasing.token_statistics import compute_token_statistics


def _case(n: int, vocabulary: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    now, then = (
        3 * torch.randn(n, vocabulary, generator=generator, dtype=torch.float64) for _ in range(2)
    )
    return now, then, torch.randint(vocabulary, (n,), generator=generator)


@settings(deadline=None)
@given(
    n=st.integers(0, 9),
    vocabulary=st.integers(2, 20),
    seed=st.integers(0, 99),
    rows=st.integers(1, 4),
    known=st.booleans(),
)
def test_values_and_gradients_are_those_of_the_definition(
    n: int, vocabulary: int, seed: int, rows: int, known: bool
) -> None:
    """For any number of rows at a time, with and without an original."""
    now, then, truth = _case(n, vocabulary, seed)
    weights = torch.randn(2, n, generator=torch.Generator().manual_seed(seed)).double()
    plain = now.clone().requires_grad_()
    log_p = plain.log_softmax(-1)
    log_q = then.log_softmax(-1) if known else log_p.detach()
    true = truth.unsqueeze(-1)
    wanted = log_p.gather(-1, true).squeeze(-1), (log_q.exp() * (log_q - log_p)).sum(-1)
    (weights[0] * wanted[0] + weights[1] * wanted[1] * known).sum().backward()

    leaf = now.clone().requires_grad_()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_statistics, "LOGITS_AT_A_TIME", {"cpu": rows * vocabulary})
        found = compute_token_statistics(leaf.clone(), then.clone() if known else None, truth)
        (weights[0] * found.log_probs + weights[1] * found.divergences).sum().backward()
    torch.testing.assert_close(found.log_probs, wanted[0])
    torch.testing.assert_close(found.divergences, wanted[1])
    torch.testing.assert_close(found.original, log_q.gather(-1, true).squeeze(-1))
    assert found.predicted.tolist() == (now.argmax(-1) == truth).tolist()
    assert found.known.tolist() == ((then if known else now).argmax(-1) == truth).tolist()
    torch.testing.assert_close(leaf.grad, plain.grad)


def test_no_gradient_goes_to_the_original() -> None:
    """Nor to values of the original CLM."""
    now, then, truth = _case(3, 5, 0)
    found = compute_token_statistics(
        now.requires_grad_().clone(), then.requires_grad_().clone(), truth
    )
    assert not found.original.requires_grad
    found.divergences.sum().backward()
    assert then.grad is None


def test_a_second_backward_pass_is_refused() -> None:
    """The first one overwrites its inputs: an error, never a wrong gradient."""
    now, then, truth = _case(3, 5, 0)
    found = compute_token_statistics(now.requires_grad_().clone(), then, truth)
    loss = found.divergences.sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_logits_that_another_operator_needs_are_refused() -> None:
    """They are overwritten: an error, never a wrong gradient."""
    now, then, truth = _case(3, 5, 0)
    logits = now.requires_grad_().tanh()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        (compute_token_statistics(logits, then, truth).divergences.sum() + logits.sum()).backward()
