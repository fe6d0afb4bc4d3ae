"""The objectives, term by term against their formulas."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from erasetest.erasing.methods import METHOD_NAMES
from erasetest.erasing.objectives import METHODS, Groups, Tokens, Weights
from erasetest.erasing.objectives.decoy_matching import decoy_distance

VOCABULARY = 11
WEIGHTS = Weights(gamma=0.3, lam=0.2, alpha=7.0, hold=1.3, decoys=0.6, match=0.8)
SIZES = [(3, 5, 4, 2), (1, 1, 1, 1), (4, 0, 2, 3), (0, 4, 2, 0), (2, 3, 0, 0), (0, 0, 0, 0)]
"""Numbers of tokens of secrets, context, retained code and decoys."""


@dataclass(frozen=True)
class Raw:
    """Tokens with their whole distributions, as the formulas use them."""

    current: torch.Tensor
    original: torch.Tensor
    truth: torch.Tensor
    secret_ids: torch.Tensor

    def where(self, mask: torch.Tensor) -> Raw:
        return Raw(*(getattr(self, name)[mask] for name in self.__dataclass_fields__))

    def tokens(self) -> Tokens:
        # Copies: `Tokens.of` overwrites its inputs.
        return Tokens.of(self.current.clone(), self.original.clone(), self.truth, self.secret_ids)


@dataclass(frozen=True)
class RawGroups:
    secret: Raw
    context: Raw
    retained: Raw
    decoys: Raw

    def groups(self) -> Groups:
        return Groups(*(getattr(self, name).tokens() for name in self.__dataclass_fields__))


def _raw(count: int, seed: int) -> Raw:
    generator = torch.Generator().manual_seed(seed)
    current = torch.randn(count, VOCABULARY, generator=generator).requires_grad_()
    original = torch.randn(count, VOCABULARY, generator=generator)
    truth = torch.randint(VOCABULARY, (count,), generator=generator)
    # Some are predicted; the tokens of secrets 7 and 3 alternate.
    current.data[::2, truth[::2]] += 9 * torch.eye(len(truth[::2]))
    secret_ids = torch.tensor([7, 3] * count, dtype=torch.long)[:count]
    return Raw(current.log_softmax(-1), original.log_softmax(-1), truth, secret_ids)


def _groups(sizes: tuple[int, ...]) -> RawGroups:
    return RawGroups(*(_raw(count, seed) for seed, count in enumerate(sizes)))


def _log_p(tokens: Raw, i: int, when: str) -> float:
    return float(getattr(tokens, when)[i][tokens.truth[i]].detach())


def _loss(*groups: Raw) -> float:
    """Return the mean of -log p(truth) over the tokens of the groups."""
    losses = [-_log_p(group, i, "current") for group in groups for i in range(len(group.truth))]
    return sum(losses) / len(losses) if losses else 0.0


def _divergence(*groups: Raw) -> float:
    """Return the mean over tokens of the sum over the vocabulary of q (log q - log p)."""
    found = [
        sum(
            math.exp(q) * (q - p)
            for q, p in zip(group.original[i].tolist(), group.current[i].tolist(), strict=True)
        )
        for group in groups
        for i in range(len(group.truth))
    ]
    return sum(found) / len(found) if found else 0.0


def _negative_preference(secret: Raw) -> float:
    """Return -2/beta times the mean over secrets of log sigmoid(-beta log p/p_original)."""
    values = []
    for owner in set(secret.secret_ids.tolist()):
        mine = [i for i, o in enumerate(secret.secret_ids.tolist()) if o == owner]
        ratio = sum(_log_p(secret, i, "current") - _log_p(secret, i, "original") for i in mine)
        values.append(-2 / 0.1 * math.log(1 / (1 + math.exp(0.1 * ratio))))
    return sum(values) / len(values) if values else 0.0


def _known(g: RawGroups) -> float:
    """Return the mean loss of predicted tokens of secrets more likely than their decoys."""
    secret = g.secret
    losses = []
    for i in range(len(secret.truth)):
        owner = secret.secret_ids[i]
        decoy = g.decoys.where(g.decoys.secret_ids == owner)
        if len(decoy.truth) and _loss(secret.where(secret.secret_ids == owner)) >= _loss(decoy):
            continue
        if secret.current[i].max().item() == secret.current[i][secret.truth[i]].item():
            losses.append(-_log_p(secret, i, "current"))
    return sum(losses) / len(losses) if losses else 0.0


def _apart(g: RawGroups) -> float:
    """Return the mean over secrets with decoys of the difference of their mean losses."""
    found = []
    for owner in set(g.secret.secret_ids.tolist()) & set(g.decoys.secret_ids.tolist()):
        own, other = (_loss(t.where(t.secret_ids == owner)) for t in (g.secret, g.decoys))
        found.append(abs(own - other))
    return sum(found) / len(found) if found else 0.0


def _by_definition(method: str, g: RawGroups) -> float:
    w = WEIGHTS
    keep = w.lam * w.alpha * _divergence(g.retained)
    if method == "ga":
        return -_loss(g.secret, g.context)
    if method == "cu":
        return -_loss(g.secret, g.context) - w.lam * _divergence(g.secret, g.context) + keep
    if method in ("decoys", "lasting"):
        held = w.hold * (_divergence(g.context) + _divergence(g.retained))
        return -_known(g) + w.match * _apart(g) + w.decoys * _loss(g.decoys) + held
    if method == "npo":
        return _negative_preference(g.secret) + w.gamma * _loss(g.context) + keep
    bare = -_loss(g.secret) + w.gamma * _loss(g.context)
    if method == "codeeraser-no-kl":
        return bare
    return bare - w.lam * _divergence(g.secret) + keep


def _repeat(raw: Raw, times: int) -> Raw:
    # Further secrets of the same length, not longer ones.
    secret_ids = torch.cat([raw.secret_ids + 100 * n for n in range(times)])
    return Raw(
        raw.current.repeat(times, 1),
        raw.original.repeat(times, 1),
        raw.truth.repeat(times),
        secret_ids,
    )


def test_the_methods_have_the_names_of_the_options() -> None:
    """In the same order."""
    assert tuple(METHODS) == METHOD_NAMES


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sizes", SIZES)
def test_a_method_is_its_formula(method: str, sizes: tuple[int, ...]) -> None:
    """The term of an empty group is 0."""
    groups = _groups(sizes)
    found = METHODS[method].loss(groups.groups(), WEIGHTS)
    assert found.shape == ()
    assert float(found.detach()) == pytest.approx(_by_definition(method, groups), abs=1e-5)


@pytest.mark.parametrize("method", METHODS)
@given(st.tuples(*[st.integers(0, 4)] * 4), st.integers(2, 5))
def test_repeating_a_group_changes_nothing(method: str, sizes: tuple[int, ...], times: int) -> None:
    """Each term is a mean over its tokens: copies of a text add no weight."""
    groups = _groups(sizes)
    plain = METHODS[method].loss(groups.groups(), WEIGHTS)
    more = [_repeat(getattr(groups, name), times) for name in groups.__dataclass_fields__]
    repeated = METHODS[method].loss(RawGroups(*more).groups(), WEIGHTS)
    assert repeated.item() == pytest.approx(plain.item(), abs=1e-4)
    # In ga and cu the secrets and their context are one group; decoys belong to secrets.
    for name in ("retained",):
        changed = replace(groups, **{name: _repeat(getattr(groups, name), times)})
        found = METHODS[method].loss(changed.groups(), WEIGHTS)
        assert found.item() == pytest.approx(plain.item(), abs=1e-4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sizes", SIZES)
def test_gradients_are_finite(method: str, sizes: tuple[int, ...]) -> None:
    """Also if a group has no tokens."""
    groups = _groups(sizes)
    leaves = [torch.zeros(count, VOCABULARY, requires_grad=True) for count in sizes]
    shifted = [
        replace(raw, current=(raw.current.detach() + leaf).log_softmax(-1))
        for raw, leaf in zip(
            (getattr(groups, n) for n in groups.__dataclass_fields__), leaves, strict=True
        )
    ]
    loss = METHODS[method].loss(RawGroups(*shifted).groups(), WEIGHTS)
    assert loss.isfinite()
    if loss.requires_grad:
        loss.backward()
    for leaf in leaves:
        assert leaf.grad is None or leaf.grad.isfinite().all()


def test_the_distance_to_a_decoy_changes_the_secret_only() -> None:
    """The decoy's loss has no gradient, whichever of the two is more likely."""
    for further in (-30.0, 30.0):
        secret, decoys = (_raw(4, seed).tokens() for seed in (0, 3))
        own = secret.log_probs.detach().requires_grad_()
        others = (decoys.log_probs.detach() + further).requires_grad_()
        decoy_distance(replace(secret, log_probs=own), replace(decoys, log_probs=others)).backward()
        assert own.grad is not None
        assert bool((own.grad != 0).all())
        assert others.grad is None


def test_an_unchanged_clm_has_divergence_zero() -> None:
    """A changed one has a divergence above 0."""
    raw = _raw(5, 0)
    same = replace(raw, current=raw.original).tokens()
    assert same.divergence().item() == pytest.approx(0, abs=1e-6)
    assert same.predicted.tolist() == same.known.tolist()
    assert raw.tokens().divergence().item() > 0.01


def test_certain_tokens_have_a_finite_divergence() -> None:
    """Probability 0 under the original contributes 0, though its logarithm is infinite."""
    certain = torch.full((2, VOCABULARY), -1e4)
    certain[:, 3] = 0
    current = _raw(2, 1).current
    tokens = Tokens.of(current.clone(), certain.clone(), torch.tensor([3, 3]))
    assert tokens.divergence().item() == pytest.approx(tokens.loss().item(), abs=1e-4)


def test_default_weights_are_the_papers() -> None:
    """gamma 0.1 and lambda 0.1; alpha counts tokens where the paper's code counts texts."""
    assert (Weights().gamma, Weights().lam) == (0.1, 0.1)
    assert Weights().alpha == 511
