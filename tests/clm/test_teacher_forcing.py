"""Teacher-forced scores against one plain forward pass a row."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st

from erasetest.clm import Branch, Clm, Sampler, Scored, Target, score, score_branches
from erasetest.clm.batching import batches, group_by_length, in_batches, pad_right
from erasetest.clm.teacher_forcing import head, hidden_states
from erasetest.errors import BadInput, ClmError


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
def _plain(clm: Clm, target: Target, sampler: Sampler | None = None) -> list[Scored]:
    """What `score` gives, token by token in double precision from the definitions."""
    found = []
    for i in range(target.first, target.last):
        logits = clm.model(input_ids=torch.tensor([target.ids[:i]])).logits[0, -1].double()
        order = logits.argsort(descending=True).tolist()
        chances = logits.softmax(-1)
        log_probs = chances.log()
        mean = float((chances * log_probs).sum())
        sd = float((chances * (log_probs - mean) ** 2).sum()) ** 0.5
        truth = target.ids[i]
        rest = max(float(logits[token]) for token in order if token != truth)
        own = float(log_probs[truth])
        drawn = (sampler or Sampler()).log_probs(logits.float().unsqueeze(0))[0, truth]
        found.append(
            Scored(
                (order[0],),
                (order[1],),
                (float(logits[order[0]] - logits[order[1]]),),
                (float(logits[truth]) - rest,),
                (own,),
                (float(drawn),),
                ((own - mean) / max(sd, 1e-3),),
            )
        )
    return found


def _assert_close(scored: Scored, wanted: list[Scored]) -> None:
    assert scored.greedy == tuple(one.greedy[0] for one in wanted)
    assert scored.runners_up == tuple(one.runners_up[0] for one in wanted)
    for column in ("leads", "margins", "log_probs", "sampled", "z_scores"):
        expected = [getattr(one, column)[0] for one in wanted]
        assert getattr(scored, column) == pytest.approx(expected, rel=1e-4, abs=1e-4), column


SAMPLERS = [Sampler(), Sampler(0.7), Sampler(top_k=5), Sampler(0.5, 20, 0.8), Sampler(0)]


@pytest.mark.parametrize("head_is_separate", [True, False])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_scores_are_those_of_a_plain_pass(family: str, head_is_separate: bool) -> None:
    """Batched, padded and by selected rows, a score is what the row alone gives."""
    clm = tiny.reciting(family)
    if not head_is_separate:
        clm.capabilities["head"] = False
    targets = _targets(clm)[::3]
    for target, scored in zip(targets, score(clm, targets), strict=True):
        _assert_close(scored, _plain(clm, target))
    assert clm.capabilities["head"] is head_is_separate


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_scores_under_a_sampler(sampler: Sampler) -> None:
    """Tempered and cut; a token that is never drawn has minus infinity."""
    clm = tiny.reciting("gpt2")
    targets = _targets(clm)[:5]
    for target, scored in zip(targets, score(clm, targets, sampler=sampler), strict=True):
        _assert_close(scored, _plain(clm, target, sampler))


@given(st.integers(0, 10**6), st.sampled_from([s for s in SAMPLERS if s.temperature]))
def test_a_sampler_cuts_as_transformers_does(seed: int, sampler: Sampler) -> None:
    """The same tokens stay, with the same probabilities."""
    import transformers as hf

    logits = torch.randn(3, 40, generator=torch.Generator().manual_seed(seed)) * 3
    wanted = hf.TemperatureLogitsWarper(float(sampler.temperature))(None, logits)
    if sampler.top_k is not None:
        wanted = hf.TopKLogitsWarper(sampler.top_k)(None, wanted)
    if sampler.top_p is not None:
        wanted = hf.TopPLogitsWarper(sampler.top_p)(None, wanted)
    torch.testing.assert_close(sampler.log_probs(logits).exp(), wanted.softmax(-1))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"temperature": -0.1}, "the temperature must be 0, or 0.001 or more, got -0.1"),
        ({"temperature": float("nan")}, "got nan"),
        ({"top_k": 0}, "top-k must be 1 or more, got 0"),
        ({"top_p": 0.0}, "top-p must be above 0 and at most 1, got 0"),
        ({"top_p": 1.5}, "got 1.5"),
    ],
)
def test_a_sampler_out_of_range_is_refused(given: dict[str, Any], said: str) -> None:
    """The value is named."""
    with pytest.raises(BadInput, match=said):
        Sampler(**given)


def test_probabilities_are_those_of_drawing() -> None:
    """Monte Carlo: what is drawn a hundred thousand times is drawn as often as was said."""
    clm = tiny.reciting("gpt2")
    sampler = Sampler(0.8, 12, 0.95)
    ids = tuple(clm.tokenizer(tiny.PLANTED[7].content.reveal())["input_ids"])
    with torch.no_grad():
        logits = clm.model(input_ids=torch.tensor([ids[:6]])).logits[0, -1]
    log_probs = sampler.log_probs(logits.unsqueeze(0))[0]
    torch.manual_seed(0)
    draws = torch.multinomial(log_probs.exp(), 100_000, replacement=True)
    for token in log_probs.topk(8).indices.tolist():
        scored = score(clm, [Target((*ids[:6], token), 6, 7)], sampler=sampler)[0]
        share = float((draws == token).float().mean())
        assert share == pytest.approx(math.exp(scored.sampled[0]), abs=0.006)


@pytest.mark.parametrize("family", tiny.FAMILIES)
@pytest.mark.parametrize("shortcuts", [{}, {"cache": False}, {"head": False}])
def test_branches_are_scored_as_whole_rows(family: str, shortcuts: dict[str, bool]) -> None:
    """From the shared prefix, of any length, in any order, to the numbers of reading it all."""
    clm = tiny.reciting(family)
    clm.capabilities.update(shortcuts)
    rng = random.Random(2)
    rows = [clm.tokenizer(s.content.reveal())["input_ids"] for s in tiny.PLANTED[:3]]
    branches = [
        Branch(
            row := rng.randrange(3),
            rng.randrange(1, len(rows[row])),
            tuple(rng.randrange(1, 300) for _ in range(rng.choice((1, 2, 7)))),
        )
        for _ in range(12)
    ]
    sampler = Sampler(0.9, top_p=0.99)
    found = score_branches(clm, rows, branches, sampler)
    for branch, scored in zip(branches, found, strict=True):
        whole = (*rows[branch.row][: branch.prefix], *branch.tokens)
        (wanted,) = score(clm, [Target(whole, branch.prefix, len(whole))], sampler=sampler)
        assert scored.sampled == pytest.approx(wanted.sampled, abs=1e-4)
        assert scored.margins == pytest.approx(wanted.margins, abs=1e-4)
        assert scored.greedy == wanted.greedy
        assert scored.z_scores == ()


def _short_of_memory(clm: Clm, tokens: int, error: type[Exception] | str) -> list[int]:
    """Let the model fail at more than so many tokens; the sizes that were asked of it."""
    plain = clm.model.base_model.forward
    asked: list[int] = []

    def limited(*args: Any, **kwargs: Any) -> Any:
        asked.append(kwargs["input_ids"].numel())
        if asked[-1] > tokens:
            if isinstance(error, str):
                raise RuntimeError(error)
            raise error("out of memory")
        return plain(*args, **kwargs)

    clm.model.base_model.forward = limited
    return asked


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError, MemoryError, "DefaultCPUAllocator: can't allocate memory: 9 bytes"],
)
def test_short_of_memory_the_batch_halves_and_the_work_goes_on(error: Any) -> None:
    """To the same scores; the smaller budget stays."""
    clm = tiny.reciting("qwen2")
    targets = _targets(clm)
    wanted = score(clm, targets)
    budget = clm.batch_tokens
    asked = _short_of_memory(clm, 200, error)
    for found, one in zip(score(clm, targets), wanted, strict=True):
        assert found.greedy == one.greedy
        assert found.log_probs == pytest.approx(one.log_probs, abs=1e-5)
    assert max(asked) > 200
    assert clm.batch_tokens < budget
    asked.clear()
    score(clm, targets)
    assert max(asked) <= 200


def test_a_larger_budget_is_halved_as_such() -> None:
    """A batch of twice the budget that ran out of memory leaves half of itself as the next."""
    clm = tiny.untrained("qwen2")
    clm.batch_tokens, asked = 40, []

    def run(batch: list[int]) -> None:
        asked.append(len(batch))
        if len(asked) == 1:
            raise MemoryError

    list(in_batches(clm, [10] * 8, run, budgets=2))
    assert asked == [8, 4, 4]
    assert clm.batch_tokens == 20


def test_a_row_that_does_not_fit_alone_is_named() -> None:
    """And another error is not taken for a lack of memory."""
    clm = tiny.reciting("qwen2")
    score(clm, _targets(clm)[:1])
    _short_of_memory(clm, 3, torch.OutOfMemoryError)
    with pytest.raises(
        ClmError, match=r"a text of \d+ tokens alone does not fit in the memory of cpu"
    ):
        score(clm, _targets(clm))
    clm = tiny.reciting("qwen2")
    score(clm, _targets(clm)[:1])
    _short_of_memory(clm, 3, "shapes do not match")
    with pytest.raises(RuntimeError, match="shapes do not match"):
        score(clm, _targets(clm))


@pytest.mark.parametrize("batch_tokens", [1, 120, 100_000])
def test_the_batch_changes_nothing(batch_tokens: int) -> None:
    """Results come in the order of the targets."""
    clm = tiny.reciting("gpt2")
    targets = _targets(clm)
    wanted = score(clm, targets)
    clm.batch_tokens = batch_tokens
    for found, one in zip(score(clm, targets), wanted, strict=True):
        assert found.greedy == one.greedy
        assert found.log_probs == pytest.approx(one.log_probs, abs=1e-5)


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
    _assert_close(score(clm, [target])[0], _plain(clm, target))
    assert clm.capabilities["head"] is False
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
    clm = tiny.untrained("gpt2")
    clm.batch_tokens = budget
    found = list(batches(clm, lengths))
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    for batch in found:
        longest = max(lengths[i] for i in batch)
        assert len(batch) == 1 or len(batch) * longest <= budget
        # No two batches in place of this one would save more padding than a forward pass costs.
        for end in range(1, len(batch)):
            padding = (longest - lengths[batch[end]]) * (len(batch) - end)
            assert padding <= budget / 16


def test_rows_of_very_different_lengths_do_not_share_a_batch() -> None:
    """Three prompts of a secret are: all the text before it, 64 tokens of it, and a line."""
    clm = tiny.untrained("gpt2")
    clm.batch_tokens = 4096
    lengths = [230, 200, 64, 64, 64, 10, 9] * 4
    assert [len(batch) for batch in batches(clm, lengths)] == [8, 12, 8]


@given(st.lists(st.integers(1, 500)), st.floats(1, 3))
def test_like_lengths_hold_each_index_once(lengths: list[int], slack: float) -> None:
    """In a group the longest is at most `slack` times the shortest."""
    groups = group_by_length(lengths, slack)
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    for group in groups:
        assert max(lengths[i] for i in group) <= slack * min(lengths[i] for i in group)


def test_pad_right() -> None:
    """Rows begin at the left; the filler stands behind them."""
    padded = pad_right([[1, 2, 3], [4]], 9, torch.device("cpu"))
    assert padded.tolist() == [[1, 2, 3], [4, 9, 9]]
