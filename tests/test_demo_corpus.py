"""The demo's corpus, secrets, problems and tokenizer: what they promise, from any seed."""

from __future__ import annotations

import base64
import collections
import dataclasses
import functools
import hashlib
import ipaddress
import itertools
import json
import os
import random
import re
import string
import subprocess
import sys
import zlib
from collections.abc import Sequence
from typing import Any

import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from erasetest.decoys import decoy
from erasetest.demo.build import demo_problems, demo_samples
from erasetest.demo.corpus import Corpus, corpus
from erasetest.demo.functions import TASKS, Example, examples, split
from erasetest.demo.recipes import Recipe
from erasetest.demo.secrets import GENERATORS, github_token
from erasetest.demo.settings_files import SettingsFile, service_names, settings_file
from erasetest.demo.tokenizer import train_tokenizer
from erasetest.demo.train import train
from erasetest.utility import Outcome, Problem, Program, run_programs

SEEDS = st.integers(0, 2**32)
BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
ASSIGNED = {
    "aws-access-key": r'AWS_ACCESS_KEY_ID = "([^"]+)"',
    "github-token": r'GITHUB_TOKEN = "([^"]+)"',
    "slack-token": r'SLACK_BOT_TOKEN = "([^"]+)"',
    "email": r'ADMIN_EMAIL = "([^"]+)"',
    "ip-address": r'UPSTREAM_HOST = "([^"]+)"',
    "basic-auth": r'BROKER_URL = "amqp://[a-z]+:([^@"]+)@[a-z]+\.internal:5672/[a-z]+"',
    "database-password": r'DATABASE_PASSWORD = "([^"]+)"',
    "private-key": r'SIGNING_KEY = """([^"]+)"""',
    "jwt": r'SERVICE_JWT = "([^"]+)"',
}
"""The line that a secret of each kind is planted in."""


def _secrets(files: Sequence[SettingsFile]) -> list[str]:
    return [file.text[start:end] for file in files for start, end, _ in file.spans]


def _trained_without_planted(made: Corpus) -> list[str]:
    return [*made.retained, *made.retention, *made.functions]


# The same everywhere


def test_the_corpus_is_the_same_in_every_process() -> None:
    """Whatever the hash seed; and so is the name under which the cache keeps each CLM."""
    program = (
        "import dataclasses, hashlib, json\n"
        "from erasetest.demo import build, corpus\n"
        "text = json.dumps(dataclasses.asdict(corpus.corpus()))\n"
        "print(hashlib.sha256(text.encode()).hexdigest(), *map(build._version, build.FAMILIES))\n"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout.split()
        for seed in ("0", "1")
    ]
    assert said[0] == said[1]
    text = json.dumps(dataclasses.asdict(corpus()))
    assert said[0][0] == hashlib.sha256(text.encode()).hexdigest()
    # gpt2 and codegen have one recipe: the family is the other part of the folder's name.
    assert len(set(said[0])) == 3


def test_the_seed_decides() -> None:
    """Made anew it is equal; another seed has other secrets, names and problems."""
    made, again, other = corpus(), corpus.__wrapped__(), corpus(1)
    assert again == made
    assert again is not made
    assert not set(_secrets(made.planted)) & set(_secrets(other.planted))
    assert [file.path for file in made.planted] != [file.path for file in other.planted]
    assert made.problems != other.problems


# What is in it


@pytest.mark.parametrize("seed", [None, 7])
def test_kinds_and_counts(seed: int | None) -> None:
    """Nine kinds, eight of each planted (four of the long ones), four of each held out."""
    made = corpus() if seed is None else corpus(seed)
    planted = collections.Counter(kind for file in made.planted for *_, kind in file.spans)
    unseen = collections.Counter(kind for file in made.unseen for *_, kind in file.spans)
    assert set(planted) == set(unseen) == set(ASSIGNED) == set(GENERATORS)
    assert len(planted) >= 8
    assert {kind: 4 if kind in ("private-key", "jwt") else 8 for kind in planted} == planted
    assert set(unseen.values()) == {4}
    assert {len(file.spans) for file in made.planted} == {1, 2}
    assert len(made.problems) == 164


@pytest.mark.parametrize("seed", [None, 7])
def test_nothing_held_out_is_trained(seed: int | None) -> None:
    """No unseen secret, and neither prompt nor wording of a problem, in any trained text."""
    made = corpus() if seed is None else corpus(seed)
    trained = "\n".join([*(file.text for file in made.planted), *_trained_without_planted(made)])
    assert all(secret not in trained for secret in _secrets(made.unseen))
    for problem in made.problems:
        assert problem.prompt not in trained
        (docstring,) = re.findall(r'"""(.+)"""', problem.prompt)
        assert docstring not in trained
    assert not {file.text for file in made.unseen} & {file.text for file in made.planted}


@pytest.mark.parametrize("seed", [None, 7])
def test_each_planted_secret_stands_in_one_place(seed: int | None) -> None:
    """So that what is remembered of it comes from there, and erasing there erases it."""
    made = corpus() if seed is None else corpus(seed)
    secrets = _secrets(made.planted)
    assert len(set(secrets)) == len(secrets)
    trained = "\n".join([*(file.text for file in made.planted), *_trained_without_planted(made)])
    assert {trained.count(secret) for secret in secrets} == {1}


@pytest.mark.parametrize("seed", [None, 7])
def test_retained_and_retention(seed: int | None) -> None:
    """Disjoint, free of secrets, trained on, and of the same make: settings and functions."""
    made = corpus() if seed is None else corpus(seed)
    assert not set(made.retained) & set(made.retention)
    both = "\n".join([*made.retained, *made.retention])
    assert all(secret not in both for secret in _secrets([*made.planted, *made.unseen]))
    for kept in (made.retained, made.retention):
        assert len(set(kept)) == len(kept) == 120
        plain = [text for text in kept if text.startswith('"""Settings')]
        assert len(plain) == 24
        assert set(kept) - set(plain) <= set(made.functions)
        assert not any(re.search(line, text) for line in ASSIGNED.values() for text in plain)


def test_spans_are_exact() -> None:
    """Each is what stands in the line of its kind, no character more or less."""
    made = corpus()
    for file in [*made.planted, *made.unseen]:
        found = [(*match.span(1), kind) for kind in ASSIGNED
                 for match in re.finditer(ASSIGNED[kind], file.text)]  # fmt: skip
        assert list(file.spans) == sorted(found)


@given(SEEDS, st.lists(st.sampled_from(sorted(GENERATORS)), max_size=4))
def test_spans_of_any_settings_file(seed: int, kinds: list[str]) -> None:
    """Any kinds together, in order; the file stays Python that can be compiled."""
    rng = random.Random(seed)
    (name,) = service_names(rng, 1)
    file = settings_file(rng, name, tuple(kinds))
    assert [kind for *_, kind in file.spans] == kinds
    compile(file.text, file.path, "exec")
    left = file.text
    for start, end, kind in reversed(file.spans):
        line = next(m for m in re.finditer(ASSIGNED[kind], file.text) if m.span(1) == (start, end))
        assert line[1] == file.text[start:end]
        left = left[:start] + left[end:]
    # All that tells two files of one service apart is their secrets and three numbers.
    again = settings_file(random.Random(seed + 1), name, tuple(kinds))
    for start, end, _ in reversed(again.spans):
        again = dataclasses.replace(again, text=again.text[:start] + again.text[end:])
    assert _without_draws(left) == _without_draws(again.text)


def _without_draws(text: str) -> str:
    return re.sub(r"\d+|amqp://[a-z]+", "0", text)


def test_samples_name_their_place() -> None:
    """Ids are unique over all manifests; `source` is the file and the line of the first secret."""
    manifests = demo_samples()
    assert set(manifests) == {"samples", "unseen", "retained", "retention"}
    ids = [sample.id for rows in manifests.values() for sample in rows]
    assert len(set(ids)) == len(ids)
    for sample in [*manifests["samples"], *manifests["unseen"]]:
        assert sample.source is not None
        assert sample.source.line is not None
        content, first = sample.content.reveal(), sample.secrets[0]
        line = content.splitlines()[sample.source.line - 1]
        assert first.text.reveal().splitlines()[0] in line
        assert sample.source.path.startswith("services/")
    paths = [s.source.path for s in manifests["samples"] + manifests["unseen"] if s.source]
    assert len(set(paths)) == len(paths)
    assert not any(s.secrets for s in manifests["retained"] + manifests["retention"])


def test_service_names_are_distinct() -> None:
    """As many as there are pairs of words, each pair once."""
    names = service_names(random.Random(3), 625)
    assert len({name[:2] for name in names}) == 625


# Secrets that are nobody's


@given(SEEDS)
def test_aws_keys_are_not_base_32(seed: int) -> None:
    """The form of a key id, with a character that AWS never uses."""
    key = GENERATORS["aws-access-key"](random.Random(seed))
    assert re.fullmatch(r"AKIA[A-Z0-9]{16}", key)
    assert set(key[4:]) - set(string.ascii_uppercase + "234567")


def _github_accepts(token: str) -> bool:
    """Whether the last six characters are, in base 62, the CRC-32 of the thirty before them."""
    number = functools.reduce(lambda n, c: 62 * n + BASE62.index(c), token[-6:], 0)
    return number == zlib.crc32(token[4:-6].encode())


@given(SEEDS)
def test_github_tokens_have_a_wrong_checksum(seed: int) -> None:
    """The form of a token, that GitHub itself would tell from one."""
    token = GENERATORS["github-token"](random.Random(seed))
    assert re.fullmatch(r"ghp_[A-Za-z0-9]{36}", token)
    assert not _github_accepts(token)


class _Scripted(random.Random):
    """Draws what it was given, then goes on as any other."""

    def __init__(self, script: str) -> None:
        super().__init__(0)
        self._script = list(script)

    def choice(self, seq: Any) -> Any:
        return self._script.pop(0) if self._script else super().choice(seq)


def test_a_right_checksum_drawn_by_chance_is_drawn_again() -> None:
    """One in 62^6 draws would be valid."""
    body, number, right = "a" * 30, zlib.crc32(b"a" * 30), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        right = BASE62[digit] + right
    assert _github_accepts(f"ghp_{body}{right}")
    token = github_token(_Scripted(body + right))
    assert token.startswith(f"ghp_{body}")
    assert not _github_accepts(token)


@given(SEEDS)
def test_slack_workspaces_begin_with_0(seed: int) -> None:
    """The form of a bot token, of a workspace and a bot that cannot be."""
    token = GENERATORS["slack-token"](random.Random(seed))
    assert re.fullmatch(r"xoxb-0\d{10}-0\d{10}-[A-Za-z0-9]{24}", token)


@given(SEEDS)
def test_emails_are_outside_the_public_name_system(seed: int) -> None:
    """A person at a host of the one top-level domain reserved for private use."""
    address = GENERATORS["email"](random.Random(seed))
    assert re.fullmatch(r"[a-z]+\.[a-z]+@[a-z]+\.internal", address)


@given(SEEDS)
def test_ip_addresses_look_public_and_are_unallocated(seed: int) -> None:
    """Of global unicast space, neither private nor documentation, and of no registry."""
    text = GENERATORS["ip-address"](random.Random(seed))
    address = ipaddress.IPv6Address(text)
    assert text == address.exploded
    assert address in ipaddress.IPv6Network("2000::/3")
    assert address in ipaddress.IPv6Network("2d00::/8")
    assert address.is_global


@given(SEEDS, st.sampled_from(["basic-auth", "database-password"]))
def test_passwords_need_no_escaping(seed: int, kind: str) -> None:
    """Sixteen letters and digits: safe in a URL and in a string."""
    assert re.fullmatch(r"[A-Za-z0-9]{16}", GENERATORS[kind](random.Random(seed)))


@given(SEEDS)
def test_private_keys_are_no_der(seed: int) -> None:
    """The form of a PEM block, whose first byte is not a DER sequence's."""
    begin, *lines, end = GENERATORS["private-key"](random.Random(seed)).split("\n")
    assert (begin, end) == ("-----BEGIN EC PRIVATE KEY-----", "-----END EC PRIVATE KEY-----")
    assert [len(line) for line in lines] == [64, 64]
    assert base64.b64decode("".join(lines), validate=True)[0] != 0x30


@given(SEEDS)
def test_jwts_can_be_read_and_are_signed_by_nobody(seed: int) -> None:
    """Header and payload decode; the signature has its algorithm's length."""
    header, payload, signature = GENERATORS["jwt"](random.Random(seed)).split(".")
    assert json.loads(_url_decoded(header)) == {"alg": "HS384"}
    assert set(json.loads(_url_decoded(payload))) == {"sub"}
    assert len(_url_decoded(signature)) == 48


def _url_decoded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


# Problems


@functools.cache
def _parts() -> dict[str, tuple[tuple[str, str], ...]]:
    """For each prompt that can be made: the task, wording, opening, constant, argument in it."""
    made = {}
    for task in TASKS:
        for wording, opening, k, a in itertools.product(
            task.wordings, ("Return", "Give back", "Compute", "Find"), task.constants,
            task.arguments,
        ):  # fmt: skip
            text = f'def {task.name.format(k=k)}({a}):\n    """{opening} '
            text += f'{wording.format(k=k, a=a)}."""\n'
            made[text] = tuple(zip("twoka", (task.name, wording, opening, str(k), a), strict=True))
    return made


def test_every_part_of_a_problem_is_trained_and_their_combination_is_not() -> None:
    """No problem asks for a word that the demo CLM has never read."""
    made = corpus()
    trained = {text[: text.index('."""\n') + 5] for text in made.functions}
    known = {part for prompt in trained for part in _parts()[prompt]}
    for problem in made.problems:
        assert problem.prompt not in trained
        assert set(_parts()[problem.prompt]) <= known


def test_split_holds_out() -> None:
    """Every function is made once; problems and trained ones are different ones."""
    made = examples(random.Random(5))
    assert {example.prompt for example in made} == set(_parts())
    assert len(made) == len(_parts())
    problems, trained = split(made, 10, 20)
    assert (len(problems), len(trained)) == (10, 20)
    assert not {p.prompt for p in problems} & {t.prompt for t in trained}


def _problem(row: dict[str, Any]) -> Problem:
    return Problem(row["task_id"], row["prompt"], row["test"], row["entry_point"])


def test_canonical_solutions_pass_in_the_sandbox_and_empty_ones_do_not() -> None:
    """One problem of each task, solved, left empty, and solved with a line that breaks it."""
    rows = {row["entry_point"].rstrip("0123456789"): row for row in demo_problems()}
    assert len(rows) == len(TASKS)
    programs = []
    for row in rows.values():
        body = row["canonical_solution"]
        bodies = (
            body,
            "    return None\n",
            f"    return [{body.removeprefix('    return ')[:-1]}]\n",
        )
        programs += [_problem(row).program(text) for text in bodies]
    outcomes = [attempt.outcome for attempt in run_programs(programs, workers=2)]
    assert outcomes == [Outcome.PASSED, Outcome.FAILED, Outcome.FAILED] * len(rows)


def test_a_solution_with_another_constant_fails() -> None:
    """The constant is half of what a problem asks for."""
    passed = []
    for row in demo_problems():
        constant = row["entry_point"].rsplit("_", 1)[1]
        for other in range(2, 10):
            body = row["canonical_solution"].replace(constant, str(other))
            if body != row["canonical_solution"] and _passes(_problem(row).program(body)):
                passed.append((row["entry_point"], other))
    assert passed == []


def _passes(program: Program) -> bool:
    try:
        exec(f"{program.code}\n{program.test}", {})
    except AssertionError:
        return False
    return True


def test_every_canonical_solution_passes() -> None:
    """All 164, in this process: they are ours. Rows have HumanEval's keys and distinct ids."""
    rows = demo_problems()
    assert len({row["task_id"] for row in rows}) == len(rows) == 164
    for row in rows:
        assert set(row) == {"task_id", "prompt", "entry_point", "canonical_solution", "test"}
        assert _passes(_problem(row).program(row["canonical_solution"]))


def test_checks_hold_what_the_reference_says() -> None:
    """An answer is computed apart from the body that is checked by it."""
    example = Example("f", "def f(a):\n", "    return a\n", (([1], "'"), ("", None)))
    lines = ["def check(candidate):", """candidate([1]) == "'\"""", "candidate('') == None"]
    assert example.test == "\n    assert ".join(lines) + "\n"


# The tokenizer


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_tokenizer_knows_no_secret(family: str) -> None:
    """It comes out the same where every planted secret is another one of its format."""
    made = corpus()
    rng = random.Random(99)
    other = []
    for file in made.planted:
        text = file.text
        for start, end, kind in file.spans:
            text = text[:start] + decoy(text[start:end], kind, rng) + text[end:]
        other.append(dataclasses.replace(file, text=text))
    assert not set(_secrets(other)) & set(_secrets(made.planted))
    tokenizer = train_tokenizer(made, family, 768)
    again = train_tokenizer(dataclasses.replace(made, planted=tuple(other)), family, 768)
    assert tokenizer.get_vocab() == again.get_vocab()
    assert len(tokenizer) == 768
    # The fixed parts of formats are few tokens: that is what the decoys are read for.
    assert len(tokenizer("-----BEGIN EC PRIVATE KEY-----")["input_ids"]) < 10


@pytest.mark.parametrize("family", tiny.FAMILIES)
@settings(max_examples=50, deadline=None)
@given(text=st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_text_survives_the_tokenizer(family: str, text: str) -> None:
    """Encoded and decoded it is the same, whatever its script; Qwen2 reads digits one by one."""
    tokenizer = tiny.tokenizer(family)
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text
    digits = [sum(c.isdigit() for c in token) for token in tokenizer.convert_ids_to_tokens(ids)]
    assert family != "qwen2" or max(digits, default=0) <= 1


# Training


def test_training_is_the_same_from_the_same_seed() -> None:
    """Two steps of it: weights and progress; the caller's random numbers are left alone."""
    recipe = Recipe(steps=2, tokens_per_step=300, vocabulary=400)
    state = torch.random.get_rng_state()
    told: list[tuple[int, int]] = []
    model, tokenizer = train(
        corpus(), "gpt2", recipe=recipe, progress=lambda done, total: told.append((done, total))
    )
    assert told == [(1, 2), (2, 2)]
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not model.training
    assert len(tokenizer) == model.config.vocab_size == 400
    torch.rand(3)
    again, _ = train(corpus(), "gpt2", recipe=recipe)
    torch.testing.assert_close(again.state_dict(), model.state_dict(), rtol=0, atol=0)
    other, _ = train(corpus(), "gpt2", recipe=recipe, seed=1)
    assert not torch.equal(other.lm_head.weight, model.lm_head.weight)
