"""Properties of the demo's corpus, secrets, problems and tokenizer, for any seed."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
import os
import random
import re
import subprocess
import sys

import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_files import ASSIGNED, SEEDS, secrets_of

from erasetest.demo.build import demo_samples
from erasetest.demo.demo_corpus import Corpus, corpus
from erasetest.demo.settings_files import service_names, settings_file
from erasetest.demo.synthetic_secrets import GENERATORS
from erasetest.demo.tokenizer import train_tokenizer
from erasetest.demo.train import Recipe, train
from erasetest.samples.decoys import decoy


def _trained_without_planted(made: Corpus) -> list[str]:
    return [*made.retained, *made.retention, *made.functions]


def test_the_corpus_is_the_same_in_every_process() -> None:
    """It does not depend on the hash seed; nor do the names of the cache folders."""
    program = (
        "import dataclasses, hashlib, json\n"
        "from erasetest.demo import build, demo_corpus\n"
        "text = json.dumps(dataclasses.asdict(demo_corpus.corpus()))\n"
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
    # gpt2 and codegen have the same recipe; the folder's name also contains the family.
    assert len(set(said[0])) == 4


def test_the_seed_decides() -> None:
    """It is reproducible; another seed gives other secrets, names and problems."""
    made, again, other = corpus(), corpus.__wrapped__(), corpus(1)
    assert again == made
    assert again is not made
    assert not set(secrets_of(made.planted)) & set(secrets_of(other.planted))
    assert [file.path for file in made.planted] != [file.path for file in other.planted]
    assert made.problems != other.problems


@pytest.mark.parametrize("seed", [None, 7])
def test_kinds_and_counts(seed: int | None) -> None:
    """Nine kinds: eight secrets of each are planted (four of the long kinds), four are held out."""
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
    assert all(secret not in trained for secret in secrets_of(made.unseen))
    for problem in made.problems:
        assert problem.prompt not in trained
        (docstring,) = re.findall(r'"""(.+)"""', problem.prompt)
        assert docstring not in trained
    assert not {file.text for file in made.unseen} & {file.text for file in made.planted}


@pytest.mark.parametrize("seed", [None, 7])
def test_each_planted_secret_stands_in_one_place(seed: int | None) -> None:
    """So all that is remembered of a secret comes from its file, and can be erased there."""
    made = corpus() if seed is None else corpus(seed)
    secrets = secrets_of(made.planted)
    assert len(set(secrets)) == len(secrets)
    trained = "\n".join([*(file.text for file in made.planted), *_trained_without_planted(made)])
    assert {trained.count(secret) for secret in secrets} == {1}


@pytest.mark.parametrize("seed", [None, 7])
def test_retained_and_retention(seed: int | None) -> None:
    """They are disjoint, free of secrets, trained on, and of the same kinds of code."""
    made = corpus() if seed is None else corpus(seed)
    assert not set(made.retained) & set(made.retention)
    both = "\n".join([*made.retained, *made.retention])
    assert all(secret not in both for secret in secrets_of([*made.planted, *made.unseen]))
    for kept in (made.retained, made.retention):
        assert len(set(kept)) == len(kept) == 120
        plain = [text for text in kept if text.startswith('"""Settings')]
        assert len(plain) == 24
        assert set(kept) - set(plain) <= set(made.functions)
        assert not any(re.search(line, text) for line in ASSIGNED.values() for text in plain)


def test_spans_are_exact() -> None:
    """Each span is exactly the secret in the line of its kind."""
    made = corpus()
    for file in [*made.planted, *made.unseen]:
        found = [(*match.span(1), kind) for kind in ASSIGNED
                 for match in re.finditer(ASSIGNED[kind], file.text)]  # fmt: skip
        assert list(file.spans) == sorted(found)


@given(SEEDS, st.lists(st.sampled_from(sorted(GENERATORS)), max_size=4))
def test_spans_of_any_settings_file(seed: int, kinds: list[str]) -> None:
    """Any kinds can be combined, in order; the file is valid Python."""
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
    # Two files of one service differ only in their secrets and three numbers.
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
    """There are as many as pairs of words, and each pair occurs once."""
    names = service_names(random.Random(3), 625)
    assert len({name[:2] for name in names}) == 625


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_tokenizer_knows_no_secret(family: str) -> None:
    """It does not change if every planted secret is replaced by another of its format."""
    made = corpus()
    rng = random.Random(99)
    other = []
    for file in made.planted:
        text = file.text
        for start, end, kind in file.spans:
            text = text[:start] + decoy(text[start:end], kind, rng) + text[end:]
        other.append(dataclasses.replace(file, text=text))
    assert not set(secrets_of(other)) & set(secrets_of(made.planted))
    tokenizer = train_tokenizer(made, family, 768)
    again = train_tokenizer(dataclasses.replace(made, planted=tuple(other)), family, 768)
    assert tokenizer.get_vocab() == again.get_vocab()
    assert len(tokenizer) == 768
    # The fixed parts of formats are few tokens, which is why it is trained on decoys.
    assert len(tokenizer("-----BEGIN EC PRIVATE KEY-----")["input_ids"]) < 10


@pytest.mark.parametrize("family", tiny.FAMILIES)
@settings(max_examples=50, deadline=None)
@given(text=st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_text_survives_the_tokenizer(family: str, text: str) -> None:
    """Encoding is lossless for any script; for Qwen2 each digit is a token."""
    tokenizer = tiny.tokenizer(family)
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text
    digits = [sum(c.isdigit() for c in token) for token in tokenizer.convert_ids_to_tokens(ids)]
    assert family != "qwen2" or max(digits, default=0) <= 1


def test_training_is_the_same_from_the_same_seed() -> None:
    """Two steps have the same weights and progress; the global random state is unchanged."""
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
