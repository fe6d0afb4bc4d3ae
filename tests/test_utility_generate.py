"""Completions are what their definition says, on real tiny CLMs of the three families."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from erasetest.clm import Clm
from erasetest.errors import BadInput, SandboxError
from erasetest.utility import Problem, read_problems
from erasetest.utility.generate import Sampling, aligned_prompt, generate
from erasetest.utility.measure import measure
from erasetest.utility.sandbox import pool

GREEDY = Sampling(samples=1, temperature=0, max_tokens=48)
WARM = Sampling(samples=3, temperature=1.0, top_p=0.95, max_tokens=24, seed=5)


def _problem(prompt: str, stop: tuple[str, ...] = ("\ndef", "\nprint", "\n#")) -> Problem:
    return Problem(f"p/{prompt[:12]!r}", prompt, "def check(candidate): pass\n", "f", stop=stop)


PROBLEMS = [
    _problem("def options():\n"),
    _problem("class Café:\n    def __init__(self, tables):\n"),
    _problem('# service 0\nAWS_ACCESS_KEY = "'),
    _problem("for item in values:\n"),
    _problem("x"),
    _problem("T", ()),
]


@functools.cache
def _clm(family: str) -> Clm:
    """One for all tests that do not change it."""
    return tiny.reciting(family)


def _text(clm: Clm, tokens: list[int]) -> str:
    return tiny.token_bytes(clm, tokens).decode(errors="replace")


def _greedy(clm: Clm, problem: Problem, limit: int) -> str:
    """The completion by its definition: argmax token by token, then cut at the first stop."""
    ids, missing = aligned_prompt(clm, problem.prompt)
    said = tiny.say(clm, ids, min(limit, clm.window - len(ids)), {})
    text = _text(clm, said).removeprefix(missing)
    return text[: min((text.find(s) for s in problem.stop if s in text), default=len(text))]


# Greedy


@pytest.mark.parametrize("family", tiny.FAMILIES)
@pytest.mark.parametrize("limit", [1, 6, 48])
def test_temperature_0_is_the_most_likely_token_each_time(family: str, limit: int) -> None:
    """A plain loop over whole forward passes writes the same."""
    clm = _clm(family)
    made = generate(clm, PROBLEMS, replace(GREEDY, max_tokens=limit))
    assert made == [[_greedy(clm, problem, limit)] for problem in PROBLEMS]
    if limit == 48:
        assert made[0] == ["    return [item * 2 for item in numbers if item]\n"]


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_any_stop_cuts_where_it_stands(family: str) -> None:
    """Whatever it is and whenever it is asked for: as if all was written and then cut."""
    clm = _clm(family)
    whole = _greedy(clm, _problem("class Café:\n", ()), 48)
    assert len(whole) > 40
    stops = [(whole[i : i + n],) for n in (1, 3) for i in range(len(whole) - n)]
    # A stop that the prompt's own last character is a part of is the next test's.
    stops = [stop for stop in stops if not ("\n" + whole).startswith(stop[0])]
    problems = [_problem("class Café:\n", stop) for stop in stops]
    made = generate(clm, problems, GREEDY)
    assert made == [[whole[: whole.index(stop)]] for (stop,) in stops]


@pytest.mark.parametrize(
    "family",
    [
        "gpt2",
        "codegen",
        "qwen2",
    ],
)
def test_a_stop_is_not_found_in_the_prompts_own_end(family: str) -> None:
    """The newline that ends a prompt is none of the completion, though the CLM writes it anew."""
    problem = _problem("for item in values:\n", ("\n    if", "\nprint"))
    (made,) = generate(_clm(family), [problem], GREEDY)
    assert made == [_greedy(_clm(family), problem, 48)]


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_end_of_text_ends_a_completion_and_is_no_part_of_it(family: str) -> None:
    """Of a sample that is known whole, what follows the prompt; after its end, nothing."""
    clm = _clm(family)
    content = tiny.PLANTED[0].content.reveal()
    prompts = [content[: content.index('"') + 1], content[:-1], content]
    made = generate(clm, [_problem(prompt, ()) for prompt in prompts], GREEDY)
    assert made == [[content[len(prompts[0]) :]], ["\n"], [""]]
    assert tiny.next_token(clm, clm.tokenizer(content)["input_ids"]) in clm.end_tokens


def test_a_clm_may_have_several_ends_of_text() -> None:
    """Each of them ends a completion."""
    clm = tiny.reciting("qwen2")
    said = tiny.say(clm, aligned_prompt(clm, PROBLEMS[0].prompt)[0], 48, {})
    end = next(place for place in range(5, len(said)) if said[place] not in said[:place])
    assert clm.model.generation_config is not None
    clm.model.generation_config.eos_token_id = [0, said[end]]
    made = generate(clm, PROBLEMS, GREEDY)
    assert made[0] == [_text(clm, said[:end])]
    assert made == [[_greedy(clm, problem, 48)] for problem in PROBLEMS]


# Prompts


@pytest.mark.parametrize("family", tiny.FAMILIES)
@settings(max_examples=60, deadline=None)
@given(text=st.text(st.sampled_from(" \n\tab:→é)'\"3"), max_size=24))
def test_an_aligned_prompt_begins_the_tokens_of_prompt_and_body(family: str, text: str) -> None:
    """No token is lost or doubled: what is read and what is missing make the prompt."""
    clm = _clm(family)
    ids, missing = aligned_prompt(clm, text)
    whole = clm.tokenizer(text + "    return")["input_ids"]
    if ids == [clm.start_token]:
        assert missing == text
        # Not one token of them ends where the prompt does, or before.
        assert not text or len(_text(clm, whole[:1])) > len(text)
        return
    assert whole[: len(ids)] == ids
    assert _text(clm, ids) + missing == text
    assert len(_text(clm, whole[: len(ids) + 1])) > len(text)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_prompt_that_merges_into_its_body_is_begun_at_the_start_token(family: str) -> None:
    """The CLM is given something to read in any case."""
    clm = _clm(family)
    made = generate(clm, [_problem("", ()), _problem(" ", ())], replace(GREEDY, max_tokens=8))
    assert made == [[_greedy(clm, _problem(prompt, ()), 8)] for prompt in ("", " ")]


def _prompt_of(clm: Clm, tokens: int) -> Problem:
    """A problem whose prompt has this many tokens."""
    text = "x3" * clm.window
    while len(aligned_prompt(clm, text)[0]) > tokens:
        text = text[:-1]
    assert len(aligned_prompt(clm, text)[0]) == tokens
    return Problem("long/1", text, "", "f", stop=())


@pytest.mark.parametrize("family", tiny.FAMILIES)
@pytest.mark.parametrize("room", [1, 2, 5])
def test_a_completion_ends_at_the_window(family: str, room: int) -> None:
    """A prompt that almost fills it leaves room for the rest alone."""
    clm = _clm(family)
    problem = _prompt_of(clm, clm.window - room)
    assert generate(clm, [problem, PROBLEMS[0]], GREEDY) == [
        [_greedy(clm, problem, room)],
        [_greedy(clm, PROBLEMS[0], 48)],
    ]


@pytest.mark.parametrize("more", [0, 1])
def test_a_prompt_that_fills_the_window_is_refused(more: int) -> None:
    """In one line that names the problem and both sizes, before anything is written."""
    clm = _clm("qwen2")
    problem = _prompt_of(clm, clm.window + more)
    told: list[int] = []
    with pytest.raises(BadInput) as caught:
        generate(clm, [PROBLEMS[0], problem], GREEDY, told.append)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for part in ("long/1", f"{clm.window + more} tokens", f"window of {clm.window}"):
        assert part in message
    assert told == []


# Sampling


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_seed_decides(family: str) -> None:
    """The same completions again; others of another seed; samples of one problem differ."""
    clm = _clm(family)
    made = generate(clm, PROBLEMS, WARM)
    assert generate(clm, PROBLEMS, WARM) == made
    assert generate(clm, PROBLEMS, replace(WARM, seed=6)) != made
    assert [len(row) for row in made] == [3] * len(PROBLEMS)
    assert len(set(made[4])) > 1


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_batch_changes_nothing(family: str) -> None:
    """Few tokens a pass or many, cached or read anew, alone or before others: the same."""
    made = generate(_clm(family), PROBLEMS, WARM)
    clm = tiny.reciting(family)
    clm.batch_tokens = 40
    assert generate(clm, PROBLEMS, WARM) == made
    clm.checked["cache"] = False
    assert generate(clm, PROBLEMS, WARM) == made
    for number in range(1, len(PROBLEMS)):
        assert generate(clm, PROBLEMS[:number], WARM) == made[:number]


def test_equal_problems_draw_apart() -> None:
    """Each from random numbers of its own."""
    made = generate(_clm("qwen2"), [PROBLEMS[4]] * 3, replace(WARM, samples=4))
    assert len({text for row in made for text in row}) > 9


def _expected(clm: Clm, problem: Problem, sampling: Sampling) -> Counter[str]:
    """Probability of each first token's text under the sampler, by its definition."""
    ids, missing = aligned_prompt(clm, problem.prompt)
    assert missing == ""
    with torch.no_grad():
        logits = clm.model(input_ids=torch.tensor([ids])).logits[0, -1].double()
    p = (logits / sampling.temperature).softmax(-1)
    nucleus: list[int] = []
    for token in sorted(range(len(p)), key=lambda t: -float(p[t])):
        # The fewest of the most likely tokens that together reach top_p.
        if sum(float(p[t]) for t in nucleus) < sampling.top_p:
            nucleus.append(token)
    whole = sum(float(p[t]) for t in nucleus)
    texts: Counter[str] = Counter()
    for token in nucleus:
        text = "" if token in clm.end_tokens else _text(clm, [token])
        texts[text] += float(p[token]) / whole  # type: ignore[assignment]
    return texts


@pytest.mark.parametrize(
    ("temperature", "top_p"), [(1.0, 1.0), (1.0, 0.6), (0.4, 0.95), (3.0, 0.9)]
)
def test_tokens_are_drawn_from_the_tempered_nucleus(temperature: float, top_p: float) -> None:
    """Of 3,000 samples none is outside, and each is as frequent as it is likely."""
    clm = _clm("qwen2")
    sampling = Sampling(3000, temperature, top_p, max_tokens=1)
    expected = _expected(clm, PROBLEMS[4], sampling)
    (made,) = generate(clm, [_problem("x", ())], sampling)
    found = Counter(made)
    assert set(found) <= set(expected)
    assert len(expected) > 1
    for text, p in expected.items():
        deviation = (3000 * p * (1 - p)) ** 0.5
        assert abs(found[text] - 3000 * p) < 4.5 * deviation + 1, (p, found[text])


def test_each_token_draws_anew() -> None:
    """Of a flat distribution, two tokens in a row make more texts than there are tokens."""
    sampling = Sampling(samples=900, temperature=1e6, top_p=1.0, max_tokens=2)
    (made,) = generate(_clm("qwen2"), [_problem("x", ())], sampling)
    assert len(set(made)) > tiny.VOCABULARY + 100


def test_progress_counts_every_completion() -> None:
    """Batch by batch, up to problems times samples."""
    clm = tiny.reciting("gpt2")
    clm.batch_tokens = 40
    told: list[int] = []
    generate(clm, PROBLEMS, WARM, told.append)
    assert len(told) > 1
    assert sum(told) == 18


# From problems to a score

SOLVED = (
    '{"task_id": "t/1", "prompt": "def options():\\n", "entry_point": "options", "test": '
    '"numbers = [1, 0, 2]\\ndef check(f):\\n    assert f() == [2, 4]\\n"}\n'
)
UNSOLVED = (
    '{"task_id": "t/2", "prompt": "def options():\\n", "entry_point": "options", "test": '
    '"numbers = [1, 0, 2]\\ndef check(f):\\n    assert f() == [2, 0, 4]\\n"}\n'
)


@pytest.fixture
def problems(tmp_path: Path) -> list[Problem]:
    """One that the tiny CLMs solve, and one that they do not."""
    (tmp_path / "problems.jsonl").write_text(SOLVED + UNSOLVED)
    return read_problems(tmp_path / "problems.jsonl")


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_measure(family: str, problems: list[Problem]) -> None:
    """Written, run and counted; progress goes up to the end and names what is done."""
    told: list[tuple[int, int, str]] = []
    score = measure(
        _clm(family), problems, replace(GREEDY, samples=2), lambda *step: told.append(step)
    )
    assert score.passed == {"t/1": 2, "t/2": 0}
    assert score.pass_at_k["pass@1"] == 0.5
    assert score.outcomes == {"passed": 2, "failed": 2, "timeout": 0}
    assert {total for _, total, _ in told} == {8}
    done = [done for done, _, _ in told]
    assert done == sorted(done)
    assert done[-1] == 8
    assert [word for word, _ in itertools.groupby(word for *_, word in told)] == [
        "writing",
        "running",
    ]


def test_the_sandbox_is_asked_for_first(
    problems: list[Problem], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where programs cannot be limited nothing is written, which may take hours."""
    monkeypatch.setattr(pool, "sandbox_layers", lambda: ())
    told: list[tuple[int, int, str]] = []
    with pytest.raises(SandboxError):
        measure(_clm("qwen2"), problems, GREEDY, lambda *step: told.append(step))
    assert told == []
