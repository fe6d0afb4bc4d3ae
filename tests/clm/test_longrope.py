"""CLMs with LongRoPE, which switches frequencies for rows longer than a boundary."""

from __future__ import annotations

import random

import pytest
import tiny
import torch
import transformers as hf
from hypothesis import given
from hypothesis import strategies as st

from erasetest.clm import (
    Branch,
    Clm,
    Continuation,
    Target,
    continuations,
    score,
    score_branches,
)
from erasetest.clm.batching import batches, group_by_length
from erasetest.clm.numerical_noise import logit_noise
from erasetest.erasing import ErasureSettings, erase
from erasetest.samples import make_sample
from erasetest.verdict import Thresholds

TURN = 40


def _clm(name: str) -> Clm:
    scaled: dict[str, object] = {"rope_type": name, "rope_theta": 10_000.0, "factor": 3.0}
    if name == "longrope":
        scaled |= {
            "short_factor": [1.0] * 6,
            "long_factor": [1.0, 1.5, 2.0, 3.0, 4.0, 6.0],
            "original_max_position_embeddings": TURN,
        }
    family = hf.Phi3Config if name == "longrope" else hf.LlamaConfig
    config = family(
        vocab_size=320, hidden_size=48, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=96,
        bos_token_id=0, eos_token_id=0, pad_token_id=0, rope_parameters=scaled,
        **({"original_max_position_embeddings": TURN} if name == "longrope" else {}),
    )  # fmt: skip
    torch.manual_seed(0)
    model = hf.AutoModelForCausalLM.from_config(config).eval()
    # With the small weights of a fresh model, attention would hardly change the logits.
    for parameter in model.parameters():
        parameter.data *= 4
    return Clm.from_model(model, tiny.tokenizer("qwen2"), name=name)


def _rows(lengths: tuple[int, ...]) -> list[list[int]]:
    rng = random.Random(1)
    return [[rng.randrange(1, 320) for _ in range(length)] for length in lengths]


@torch.no_grad()
def _alone(clm: Clm, row: list[int], place: int) -> float:
    """Return the log-probability of a token after its prefix, which is read alone."""
    logits = clm.model(input_ids=torch.tensor([row[:place]]), use_cache=False).logits
    return float(logits[0, -1].log_softmax(-1)[row[place]])


@pytest.mark.parametrize("name", ["longrope", "dynamic"])
def test_scores_are_those_of_each_prefix_alone(name: str) -> None:
    """They depend neither on later tokens of the row nor on other rows of the batch."""
    clm = _clm(name)
    assert clm.longrope_boundary == (TURN if name == "longrope" else None)
    rows = _rows((20, TURN - 1, TURN, TURN + 1, TURN + 2, 70, 96))
    targets = [Target(tuple(row), 5, len(row)) for row in rows]
    for row, scored in zip(rows, score(clm, targets), strict=True):
        wanted = [_alone(clm, row, place) for place in range(5, len(row))]
        assert scored.log_probs == pytest.approx(wanted, abs=2e-4)
        assert len(scored.greedy) == len(scored.margins) == len(wanted)
    behind = [Target(tuple(rows[-1]), TURN + 1, 96), Target(tuple(rows[-1][:60]), TURN, 60)]
    for target, scored in zip(behind, score(clm, behind), strict=True):
        wanted = [_alone(clm, rows[-1], place) for place in range(target.first, target.last)]
        assert scored.log_probs == pytest.approx(wanted, abs=2e-4)


@pytest.mark.parametrize("name", ["longrope", "dynamic"])
def test_continuations_are_greedy_decoding(name: str) -> None:
    """Below the boundary, above it and across it, in one call."""
    clm = _clm(name)
    rows = _rows((30, 60, 96, TURN + 1))
    places = [(0, 9), (0, 25), (1, 35), (1, 58), (2, TURN + 2), (2, 80), (2, 50), (3, TURN + 1)]
    jobs = [Continuation(row, prefix, 12) for row, prefix in places]
    together = continuations(clm, rows, jobs)
    for job, tokens in zip(jobs, together, strict=True):
        assert tokens == tiny.say(clm, rows[job.row][: job.prefix], 12, {})
        assert tokens == continuations(clm, rows, [job])[0]


@pytest.mark.parametrize("name", ["longrope", "dynamic"])
def test_branches_are_scored_as_whole_rows(name: str) -> None:
    """From the shared prefix, or alone if they cross the boundary."""
    clm = _clm(name)
    rows = _rows((96, 30, 80))
    places = [(0, 5, 4), (0, 50, 4), (1, 20, 4), (1, 30, 4), (2, TURN + 1, 4), (2, TURN + 2, 4)]
    # The padding of a short branch after a long prefix is beyond the boundary.
    for chosen in (places, [(0, 34, 4), (1, 10, 20)], [(0, 34, 4), (0, 10, 20)]):
        branches = [Branch(row, prefix, tuple(range(7, 7 + n))) for row, prefix, n in chosen]
        for branch, found in zip(branches, score_branches(clm, rows, branches), strict=True):
            whole = [*rows[branch.row][: branch.prefix], *branch.tokens]
            wanted = [_alone(clm, whole, p) for p in range(branch.prefix, len(whole))]
            assert found.log_probs == pytest.approx(wanted, abs=2e-4)


def test_noise_is_that_of_one_side() -> None:
    """No row that it is measured on is longer than the boundary."""
    assert logit_noise(_clm("longrope")) < 1e-2


def test_the_least_turn_of_all_layers_counts() -> None:
    """Layer types may have different boundaries; the smallest counts."""
    clm = _clm("longrope")
    turns = {"full": TURN + 9, "local": TURN, "other": TURN + 20}
    clm.model.config.rope_parameters = {
        name: {"rope_type": "longrope", "original_max_position_embeddings": turn}
        for name, turn in turns.items()
    }
    assert clm.longrope_boundary == TURN


def test_erasing_reads_rows_as_the_original_was_read() -> None:
    """Before the first step the divergence is zero, though rows are on both sides."""
    clm = _clm("longrope")
    text = "".join(tiny.CODE)
    pieces = [clm.tokenizer.decode(clm.tokenizer(text)["input_ids"][:n]) for n in (37, 44, 38, 43)]
    retained = [make_sample(piece, id=str(n)) for n, piece in enumerate(pieces)]
    limits = Thresholds("test", {"ma": 0.0, "el_10": 0.0})
    settings = ErasureSettings(lr=1e-5, max_steps=1)
    samples = [make_sample(s.content.reveal(), [(5, 40, "k")], id=s.id) for s in tiny.PLANTED[:4]]
    erasure = erase(clm, samples, retained, limits, settings)
    assert erasure.history[0].retained_kl == pytest.approx(0, abs=1e-5)


@given(st.lists(st.integers(1, 90)), st.integers(1, 300))
def test_no_batch_has_rows_on_both_sides(lengths: list[int], budget: int) -> None:
    """Each row is in one batch, and each batch is within the budget."""
    clm = _CLM
    clm.batch_tokens = budget
    found = list(batches(clm, lengths))
    for groups in (found, group_by_length(lengths, 3.0, boundary=TURN)):
        assert sorted(i for batch in groups for i in batch) == list(range(len(lengths)))
        assert all(len({lengths[i] > TURN for i in batch}) == 1 for batch in groups)
    for batch in found:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget


_CLM = _clm("longrope")
