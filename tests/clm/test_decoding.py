"""Continuations from a shared cache equal naive greedy decoding."""

from __future__ import annotations

import random
from typing import Any

import pytest
import tiny
import torch
import transformers as hf

from erasetest.clm import (
    Branch,
    Clm,
    Continuation,
    Target,
    continuations,
    decoding,
    score,
    score_branches,
)


def _rows(clm: Clm) -> list[list[int]]:
    texts = [sample.content.reveal() for sample in (*tiny.PLANTED[:4], *tiny.RETAINED[:2])]
    texts.append("".join(texts[:3]))
    return [ids[: tiny.WINDOW] for ids in clm.tokenizer(texts)["input_ids"]]


def _jobs(rows: list[list[int]], count: int, seed: int) -> list[Continuation]:
    rng = random.Random(seed)
    jobs = []
    for _ in range(count):
        row = rng.randrange(len(rows))
        prefix = rng.randrange(1, len(rows[row]) + 1)
        room = tiny.WINDOW - prefix
        jobs.append(Continuation(row, prefix, min(room, rng.choice((0, 1, 2, 9, 25)))))
    return jobs


def _naive(clm: Clm, rows: list[list[int]], jobs: list[Continuation]) -> list[list[int]]:
    seen: dict[tuple[int, ...], int] = {}
    return [tiny.say(clm, rows[j.row][: j.prefix], j.tokens, seen) for j in jobs]


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_continuations_are_greedy_decoding(family: str, cache: bool) -> None:
    """Jobs of any prefix and length, several per row, equal decoding one by one."""
    clm = tiny.reciting(family)
    if not cache:
        clm.capabilities["cache"] = False
    rows = _rows(clm)
    jobs = _jobs(rows, 20, seed=1)
    assert continuations(clm, rows, jobs) == _naive(clm, rows, jobs)
    assert clm.capabilities["cache"] is cache


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_short_and_long_prefixes_together(family: str) -> None:
    """A short prefix behind the cache of a full row keeps its own positions."""
    clm = tiny.reciting(family)
    rows = _rows(clm)
    assert len(rows[-1]) == tiny.WINDOW
    jobs = [Continuation(6, 95, 1), Continuation(6, 2, 60), Continuation(0, 50, 46)]
    assert continuations(clm, rows, jobs) == _naive(clm, rows, jobs)


@pytest.mark.parametrize("batch_tokens", [1, 64, 150, 100_000])
def test_the_batch_changes_nothing(batch_tokens: int) -> None:
    """Results are in the order of the jobs, and do not depend on the batch."""
    clm = tiny.reciting("codegen")
    rows = _rows(clm)
    jobs = _jobs(rows, 30, seed=2)
    wanted = continuations(clm, rows, jobs)
    clm.batch_tokens = batch_tokens
    order = random.Random(0).sample(range(len(jobs)), len(jobs))
    assert continuations(clm, rows, [jobs[i] for i in order]) == [wanted[i] for i in order]


def test_one_token_prefixes_alone() -> None:
    """If every prefix is one token long, nothing is cached."""
    clm = tiny.reciting("qwen2")
    rows = [[clm.start_token], clm.tokenizer("#")["input_ids"]]
    jobs = [Continuation(0, 1, 5), Continuation(1, 1, 8)]
    assert continuations(clm, rows, jobs) == _naive(clm, rows, jobs)


@pytest.mark.parametrize("prefix", [1, 40])
def test_tokens_to_come_take_their_part_of_the_budget(
    prefix: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New tokens are cached too, so the budget counts them: short prompts can fill it."""
    clm = tiny.untrained("qwen2")
    clm.batch_tokens = 100
    most: list[int] = []
    decode = decoding._Decoder._decode

    def seen(decoder: Any, jobs: list[Any], session: Any) -> None:
        longest = max(job.request.given + job.request.tokens for job in jobs)
        most.append(len(jobs) * longest)
        decode(decoder, jobs, session)

    monkeypatch.setattr(decoding._Decoder, "_decode", seen)
    continuations(clm, [list(range(20, 20 + prefix))], [Continuation(0, prefix, 50)] * 60)
    assert max(most) <= 8 * 100
    assert max(most) > 4 * 100


def test_no_jobs_and_empty_jobs() -> None:
    """Without jobs, or with jobs of no tokens, there is no forward pass."""
    clm = tiny.untrained("gpt2")
    assert continuations(clm, [], []) == []
    assert continuations(clm, [[5, 6]], [Continuation(0, 1, 0)]) == [[]]


@pytest.mark.parametrize("cache", [True, False])
def test_end_of_text_ends_and_is_left_out(cache: bool) -> None:
    """A job that generates an end token stops before it; the others continue."""
    clm = tiny.reciting("gpt2")
    rows = _rows(clm)
    jobs = [Continuation(0, 10, 30), Continuation(1, 10, 30), Continuation(2, 12, 25)]
    free = continuations(clm, rows, jobs)
    end = free[0][6]
    clm.model.generation_config.eos_token_id = [0, end]
    clm.capabilities["cache"] = cache
    wanted = [tokens[: tokens.index(end)] if end in tokens else tokens for tokens in free]
    assert len(wanted[0]) <= 6
    assert continuations(clm, rows, jobs) == wanted


@pytest.mark.parametrize("cache", [True, False])
def test_stop_ends_a_job_at_the_next_question(cache: bool) -> None:
    """`stop` is called every few tokens, with the job's index and all tokens so far."""
    clm = tiny.reciting("qwen2")
    clm.capabilities["cache"] = cache
    rows = _rows(clm)
    jobs = [Continuation(n, 10, 30) for n in (0, 1, 2, 3, 0, 1)]
    free = continuations(clm, rows, jobs)
    asked: list[tuple[int, int]] = []

    def stop(job: int, tokens: list[int]) -> bool:
        assert tokens == free[job][: len(tokens)]
        asked.append((job, len(tokens)))
        return job % 2 == 0 and len(tokens) >= 6

    stopped = continuations(clm, rows, jobs, stop=stop)
    for job, tokens in enumerate(stopped):
        assert tokens == (free[job] if job % 2 else free[job][:8])
    assert {job for job, _ in asked} == set(range(6))
    assert max(length for job, length in asked if job % 2 == 0) == 8


def test_choose_sees_the_jobs_by_number() -> None:
    """The chooser receives logits in float32, the indices of the jobs, and the step."""
    clm = tiny.untrained("qwen2")
    rows = [[5, 6, 7], [8, 9]]
    jobs = [Continuation(0, 2, 3), Continuation(1, 2, 5), Continuation(0, 3, 1)]

    def choose(logits: torch.Tensor, numbers: list[int], step: int) -> torch.Tensor:
        assert logits.shape == (len(numbers), tiny.VOCABULARY)
        assert logits.dtype == torch.float32
        return torch.tensor([100 + 10 * number + step for number in numbers])

    found = continuations(clm, rows, jobs, choose=choose)
    assert found == [[100, 101, 102], [110, 111, 112, 113, 114], [120]]


def test_progress_counts_jobs() -> None:
    """It ends at the number of all jobs, including those of no tokens."""
    clm = tiny.untrained("gpt2")
    rows = _rows(clm)
    jobs = [Continuation(n % 7, 3, 2) for n in range(40)] + [Continuation(0, 3, 0)]
    clm.batch_tokens = 10
    calls: list[tuple[int, int]] = []
    continuations(clm, rows, jobs, progress=lambda *done: calls.append(done))
    assert calls[-1] == (41, 41)
    assert calls == sorted(set(calls))
    assert {total for _, total in calls} == {41}
    assert len(calls) > 1


def test_a_cache_that_does_not_hold_is_not_used() -> None:
    """A CLM whose cached logits differ from plain reading is decoded without a cache."""
    clm = tiny.reciting("qwen2")
    plain = clm.model.forward

    def forgetful(*args: object, **kwargs: object) -> object:
        # Ignores position ids, as a model that computes them itself does.
        kwargs.pop("position_ids", None)
        return plain(*args, **kwargs)

    clm.model.forward = forgetful
    rows = _rows(clm)
    jobs = _jobs(rows, 6, seed=3)
    assert continuations(clm, rows, jobs) == _naive(clm, rows, jobs)
    assert clm.capabilities["cache"] is False


def test_a_model_without_a_cache_is_read_plainly() -> None:
    """A model that refuses cached keys is decoded without a cache."""
    clm = tiny.reciting("gpt2")
    plain = clm.model.base_model.forward

    def forward(*args: object, past_key_values: object = None, **kwargs: object) -> object:
        if past_key_values is not None:
            raise TypeError("no cache here")
        return plain(*args, **kwargs)

    clm.model.base_model.forward = forward
    rows = _rows(clm)
    jobs = _jobs(rows, 6, seed=4)
    assert continuations(clm, rows, jobs) == _naive(clm, rows, jobs)
    assert clm.capabilities["cache"] is False


@pytest.mark.parametrize("window", [4, 24, 64, 200])
@pytest.mark.parametrize("name", ["Mistral", "Starcoder2", "Qwen2", "Gemma3Text"])
def test_sliding_windows_change_nothing(name: str, window: int) -> None:
    """With local attention layers, continuations equal reading the whole text for each token."""
    config = getattr(hf, f"{name}Config")(
        vocab_size=320, hidden_size=48, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=12, max_position_embeddings=128,
        sliding_window=window, bos_token_id=0, eos_token_id=0, pad_token_id=0,
        **({"use_sliding_window": True, "max_window_layers": 0} if name == "Qwen2" else {}),
    )  # fmt: skip
    torch.manual_seed(0)
    model = hf.AutoModelForCausalLM.from_config(config).eval()
    # With the small weights of a fresh model, attention would hardly change the logits.
    for parameter in model.parameters():
        parameter.data *= 4
    clm = Clm.from_model(model, tiny.tokenizer("qwen2"), name=name)
    rng = random.Random(1)
    rows = [[rng.randrange(1, 320) for _ in range(n)] for n in (40, 61, 50)]
    # Each of the last two fits a window of 64, but the shared cache of both does not.
    places = [(0, 9, 12), (0, 38, 12), (1, 60, 12), (2, 33, 12), (1, 58, 4), (0, 9, 50)]
    jobs = [Continuation(*place) for place in places]
    together = continuations(clm, rows, jobs)
    assert continuations(clm, rows, jobs[-2:]) == together[-2:]
    assert continuations(clm, rows, [jobs[-2], jobs[0]]) == [together[-2], together[0]]
    for job, found in zip(jobs, together, strict=True):
        assert found == tiny.say(clm, rows[job.row][: job.prefix], job.tokens, {})
        assert found == continuations(clm, rows, [job])[0]
    branches = [Branch(1, 58, (5, 6, 7)), Branch(0, 9, tuple(range(1, 50)))]
    for branch, scored in zip(branches, score_branches(clm, rows, branches), strict=True):
        ids = (*rows[branch.row][: branch.prefix], *branch.tokens)
        (wanted,) = score(clm, [Target(ids, branch.prefix, len(ids))])
        assert scored.log_probs == pytest.approx(wanted.log_probs, abs=2e-4)


def test_short_of_memory_while_continuing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The jobs of one row are decoded in smaller parts, with the same tokens."""
    clm = tiny.reciting("gpt2")
    rows = _rows(clm)[:1]
    jobs = [Continuation(0, prefix, 6) for prefix in range(1, 30)]
    wanted = continuations(clm, rows, jobs)
    plain = clm.model.forward
    asked: list[int] = []

    def limited(*args: object, **kwargs: torch.Tensor) -> object:
        asked.append(len(kwargs["input_ids"]))
        if asked[-1] > 8:
            raise torch.OutOfMemoryError
        return plain(*args, **kwargs)

    monkeypatch.setattr(clm.model, "forward", limited)
    calls: list[tuple[int, int]] = []
    assert continuations(clm, rows, jobs, progress=lambda *done: calls.append(done)) == wanted
    assert max(asked) > 8
    assert calls[-1] == (len(jobs), len(jobs))
