"""Completions match their definition, on real tiny CLMs of the three families."""

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

import erasetest.utility.generation as generate_module
from erasetest.clm import Clm
from erasetest.errors import BadInput, SandboxError
from erasetest.samples import make_sample
from erasetest.utility import Problem, evaluation, read_problems
from erasetest.utility.evaluation import evaluate
from erasetest.utility.generation import aligned_prompt, generate
from erasetest.utility.held_out_nll import held_out_likelihood
from erasetest.utility.sampling import Prompting, Sampling
from erasetest.utility.sandbox import Limits, pool
from erasetest.utility.score_journal import ScoreJournal
from erasetest.utility.scoring import Tally

PROMPTS: tuple[Prompting, ...] = ("aligned", "stripped", "whole")
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
    """A CLM that is shared by all tests, which do not change it."""
    return tiny.reciting(family)


def _text(clm: Clm, tokens: list[int]) -> str:
    return tiny.token_bytes(clm, tokens).decode(errors="replace")


def _greedy(clm: Clm, problem: Problem, limit: int) -> str:
    """Return the completion by definition: argmax token by token, then cut at the first stop."""
    ids, missing = aligned_prompt(clm, problem.prompt)
    said = tiny.say(clm, ids, min(limit, clm.window - len(ids)), {})
    text = _text(clm, said).removeprefix(missing)
    return text[: min((text.find(s) for s in problem.stop if s in text), default=len(text))]


# Greedy


@pytest.mark.parametrize("family", tiny.FAMILIES)
@pytest.mark.parametrize("limit", [1, 6, 48])
def test_temperature_0_is_the_most_likely_token_each_time(family: str, limit: int) -> None:
    """A plain loop over whole forward passes generates the same."""
    clm = _clm(family)
    made = generate(clm, PROBLEMS, replace(GREEDY, max_tokens=limit))
    assert made == [[_greedy(clm, problem, limit)] for problem in PROBLEMS]
    if limit == 48:
        assert made[0] == ["    return [item * 2 for item in numbers if item]\n"]


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_any_stop_cuts_where_it_occurs(family: str) -> None:
    """The result is the same as if all tokens were generated and then cut."""
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
    """The newline that ends a prompt is no part of the completion, although the CLM repeats it."""
    problem = _problem("for item in values:\n", ("\n    if", "\nprint"))
    (made,) = generate(_clm(family), [problem], GREEDY)
    assert made == [_greedy(_clm(family), problem, 48)]


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_end_of_text_ends_a_completion_and_is_no_part_of_it(family: str) -> None:
    """For a memorized sample, the text after the prompt; after its end, nothing."""
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
    """No token is lost or repeated: the part that is read and the rest make up the prompt."""
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
    """The CLM gets at least one token to read."""
    clm = _clm(family)
    made = generate(clm, [_problem("", ()), _problem(" ", ())], replace(GREEDY, max_tokens=8))
    assert made == [[_greedy(clm, _problem(prompt, ()), 8)] for prompt in ("", " ")]


def _prompt_of(clm: Clm, tokens: int) -> Problem:
    """Return a problem whose prompt has this many tokens."""
    text = "x3" * clm.window
    while len(aligned_prompt(clm, text)[0]) > tokens:
        text = text[:-1]
    assert len(aligned_prompt(clm, text)[0]) == tokens
    return Problem("long/1", text, "", "f", stop=())


@pytest.mark.parametrize("family", tiny.FAMILIES)
@pytest.mark.parametrize("room", [1, 2, 5])
def test_a_completion_ends_at_the_window(family: str, room: int) -> None:
    """A prompt that almost fills the window leaves room for few tokens."""
    clm = _clm(family)
    problem = _prompt_of(clm, clm.window - room)
    assert generate(clm, [problem, PROBLEMS[0]], GREEDY) == [
        [_greedy(clm, problem, room)],
        [_greedy(clm, PROBLEMS[0], 48)],
    ]


@pytest.mark.parametrize("more", [0, 1])
def test_a_prompt_that_fills_the_window_is_refused(more: int) -> None:
    """In one line that names the problem and both sizes, before anything is generated."""
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
    """Equal seeds give equal completions, other seeds others; samples of a problem differ."""
    clm = _clm(family)
    made = generate(clm, PROBLEMS, WARM)
    assert generate(clm, PROBLEMS, WARM) == made
    assert generate(clm, PROBLEMS, replace(WARM, seed=6)) != made
    assert [len(row) for row in made] == [3] * len(PROBLEMS)
    assert len(set(made[4])) > 1


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_batch_changes_nothing(family: str) -> None:
    """Few tokens per pass or many, cached or recomputed, alone or with others: the same."""
    made = generate(_clm(family), PROBLEMS, WARM)
    clm = tiny.reciting(family)
    clm.batch_tokens = 40
    assert generate(clm, PROBLEMS, WARM) == made
    clm.capabilities["cache"] = False
    assert generate(clm, PROBLEMS, WARM) == made
    for number in range(1, len(PROBLEMS)):
        assert generate(clm, PROBLEMS[:number], WARM) == made[:number]


def test_a_part_of_the_problems_is_as_in_all() -> None:
    """Problems can be completed in blocks."""
    clm = _clm("qwen2")
    made = generate(clm, PROBLEMS, WARM)
    assert generate(clm, PROBLEMS[2:5], WARM, first=2) == made[2:5]


def test_prompts_stripped_and_whole() -> None:
    """The CLM reads the part of the prompt that the setting names, and generates the rest."""
    clm = _clm("qwen2")
    problem = _problem("def options():\n", ())
    ids = {how: list(generate_module._PROMPTS[how](clm, problem.prompt)[0]) for how in PROMPTS}
    assert _text(clm, ids["whole"]) == problem.prompt
    assert _text(clm, ids["stripped"]) == "def options():"
    for how in PROMPTS:
        ((text,),) = generate(clm, [problem], replace(GREEDY, prompt=how))
        said = tiny.say(clm, ids[how], GREEDY.max_tokens, {})
        whole = _text(clm, ids[how]) + _text(clm, said)
        missing = problem.prompt.removeprefix(_text(clm, ids[how]))
        assert text == whole.removeprefix(_text(clm, ids[how])).removeprefix(missing)


def test_equal_problems_have_different_completions() -> None:
    """Each problem has its own random numbers."""
    made = generate(_clm("qwen2"), [PROBLEMS[4]] * 3, replace(WARM, samples=4))
    assert len({text for row in made for text in row}) > 9


def _expected(clm: Clm, problem: Problem, sampling: Sampling) -> Counter[str]:
    """Return the probability of each first token's text under the sampler, by its definition."""
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
    """None of 3,000 samples is outside of the nucleus, and frequencies match probabilities."""
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


def test_each_token_has_its_own_random_number() -> None:
    """In a flat distribution, two tokens in a row give more texts than there are tokens."""
    sampling = Sampling(samples=900, temperature=1e6, top_p=1.0, max_tokens=2)
    (made,) = generate(_clm("qwen2"), [_problem("x", ())], sampling)
    assert len(set(made)) > tiny.VOCABULARY + 100


def test_progress_counts_every_completion() -> None:
    """Batch by batch, up to problems times samples."""
    clm = tiny.reciting("gpt2")
    clm.batch_tokens = 40
    calls: list[tuple[int, int]] = []
    generate(clm, PROBLEMS, WARM, lambda *done: calls.append(done))
    assert len(calls) > 1
    assert calls == sorted(set(calls))
    assert calls[-1] == (18, 18)


# From problems to a score

# The body that the tiny CLMs recite uses a name that is nowhere defined.
SOLVED = (
    '{"task_id": "t/1", "prompt": "def options():\\n", "entry_point": "options", "test": '
    '"def check(f):\\n    try:\\n        f()\\n    except NameError as error:\\n'
    "        assert 'numbers' in str(error)\\n    else:\\n        assert False\\n\"}\n"
)
UNSOLVED = (
    '{"task_id": "t/2", "prompt": "def options():\\n", "entry_point": "options", "test": '
    '"def check(f):\\n    assert f() == [2, 0, 4]\\n"}\n'
)


@pytest.fixture
def problems(tmp_path: Path) -> list[Problem]:
    """A problem that the tiny CLMs solve, and one that they do not."""
    (tmp_path / "problems.jsonl").write_text(SOLVED + UNSOLVED)
    return read_problems(tmp_path / "problems.jsonl")


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_evaluate(family: str, problems: list[Problem]) -> None:
    """Generated, run and counted; progress rises to the total and names the phase."""
    told: list[tuple[int, int, str]] = []
    score = evaluate(
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
        "generating",
        "running",
    ]


def test_the_sandbox_is_checked_first(
    problems: list[Problem], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If programs cannot be isolated, nothing is generated, which may take hours."""
    monkeypatch.setattr(pool, "sandbox_layers", lambda: ())
    told: list[tuple[int, int, str]] = []
    with pytest.raises(SandboxError):
        evaluate(_clm("qwen2"), problems, GREEDY, lambda *step: told.append(step))
    assert told == []


# Evaluated in blocks of problems

RETURNS = [
    Problem(f"r/{i}", f"def f{i}(x):\n", "def check(f):\n    assert f(1) == 1\n", f"f{i}")
    for i in range(5)
]


def test_a_killed_evaluation_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finished problems are not generated again, and the score is the same."""
    clm = _clm("qwen2")
    monkeypatch.setattr(evaluation, "_BLOCK_COMPLETIONS", 4)
    sampling = replace(WARM, samples=2, max_tokens=12)
    whole = evaluate(clm, RETURNS, sampling, greedy=True)
    assert len(whole.greedy) == 5
    journal = tmp_path / "part"
    written: list[int] = []

    def counted(*given: object, first: int = 0, **named: object) -> list[list[str]]:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(first)
        return generate(*given, first=first, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(evaluation, "generate", counted)
        with pytest.raises(KeyboardInterrupt):
            evaluate(clm, RETURNS, sampling, greedy=True, journal=journal)
    with journal.open("a") as file:
        # Invalid lines, and a truncated one.
        file.write('[1]\n{"a": 1}\nnull\n\0\n{"key": "", "number": 0, "task_id": "r/4", "outc')
    first: list[int] = []

    def noted(*given: object, **named: object) -> list[list[str]]:
        first.append(int(str(named["first"])))
        return generate(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(evaluation, "generate", noted)
    told: list[tuple[int, int, str]] = []
    again = evaluate(
        clm, RETURNS, sampling, lambda *step: told.append(step), greedy=True, journal=journal
    )
    assert written == [0, 2]
    assert first == [4, 0, 4]
    assert again == whole
    assert not journal.exists()
    assert told[-1][0] == told[-1][1] == 2 * 5 * 3


def test_the_journal_depends_on_all_settings(tmp_path: Path) -> None:
    """Counts of another CLM, seed, limit or set of problems are not used; no text is saved."""
    journal = tmp_path / "part"
    first = ScoreJournal(journal, "a key")
    first.append(0, [Tally("r/0", {"passed": 1, "failed": 1, "timeout": 0}, 2, 0.5)])
    assert ScoreJournal(journal, "a key").read(0, RETURNS[:1]) is not None
    assert ScoreJournal(journal, "a key").read(1, RETURNS[:1]) is None
    assert ScoreJournal(journal, "a key").read(0, RETURNS[:2]) is None
    assert ScoreJournal(journal, "another").read(0, RETURNS[:1]) is None
    clm, other = _clm("qwen2"), _clm("gpt2")
    one = evaluation._journal_key(clm, RETURNS, [WARM], None)
    assert one == evaluation._journal_key(clm, RETURNS, [WARM], None)
    for key in (
        evaluation._journal_key(other, RETURNS, [WARM], None),
        evaluation._journal_key(clm, RETURNS[:4], [WARM], None),
        evaluation._journal_key(clm, RETURNS, [replace(WARM, seed=6)], None),
        evaluation._journal_key(clm, RETURNS, [replace(WARM, prompt="whole")], None),
        evaluation._journal_key(clm, RETURNS, [WARM], Limits(9)),
    ):
        assert key != one


def test_held_out_code_by_its_definition() -> None:
    """The mean of -ln p over all tokens, the first after the start token."""
    clm = _clm("qwen2")
    texts = [
        make_sample("def options():\n    return 1\n", [(0, 3, "x")]),
        make_sample("x = 1\n" * 3, [(0, 1, "x")]),
    ]
    found = held_out_likelihood(clm, texts)
    losses = []
    for text in texts:
        ids = [clm.start_token, *clm.tokenizer(text.content.reveal())["input_ids"]]
        with torch.no_grad():
            logits = clm.model(input_ids=torch.tensor([ids])).logits[0].double()
        log_p = logits.log_softmax(-1)
        losses += [-float(log_p[i, token]) for i, token in enumerate(ids[1:])]
    assert found["tokens"] == len(losses)
    assert found["nats"] == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert 0 <= found["ma"] <= 1
