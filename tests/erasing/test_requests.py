"""Successive requests, of any size, and self-generated retained code."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import erase_runs
import pytest
import tiny
from erase_runs import FORGET, LIMITS
from hypothesis import given, settings
from hypothesis import strategies as st

from erasetest.clm import Clm, load_clm
from erasetest.erasing import (
    count_unlisted_erasures,
    erase,
    erase_to,
    self_generated,
    self_generated_texts,
)
from erasetest.errors import ErasureError
from erasetest.samples import make_sample
from erasetest.samples.retained import secret_owner
from erasetest.scanning import Document, find_secrets


def test_what_was_erased_before_stays_erased(tmp_path: Path) -> None:
    """A second request evaluates the first one's samples, which the checkpoint records."""
    first, second = tiny.PLANTED[:2], tiny.PLANTED[2:4]
    one = tiny.reciting("qwen2")
    assert erase_to(
        tmp_path / "one", one, first, tiny.RETAINED, LIMITS, erase_runs.settings("decoys")
    ).erased
    clm = load_clm(str(tmp_path / "one"))
    assert count_unlisted_erasures(clm, second) == 2
    assert count_unlisted_erasures(clm, [*first, *second]) == 0
    done = erase_to(
        tmp_path / "two",
        clm,
        second,
        tiny.RETAINED,
        LIMITS,
        erase_runs.settings("decoys"),
        earlier=first,
    )
    assert (done.erased, done.samples, done.rechecked) == (True, 2, 2)
    back = load_clm(str(tmp_path / "two"))
    assert [record.ids for record in back.records] == [
        tuple(s.id for s in first),
        tuple(s.id for s in second),
    ]
    assert erase_runs.verdicts(back, tiny.PLANTED[:4]) == ["pass"] * 4
    text = (tmp_path / "two" / "erasetest.json").read_text()
    assert json.loads(text)["schema"] == "erasetest.erasures/1"
    assert not any(secret in text for _, secret in tiny.SECRETS)


def test_an_earlier_sample_that_leaks_again_is_erased_again() -> None:
    """It is evaluated like the others, not trusted."""
    clm = tiny.reciting("qwen2")
    assert erase(
        clm,
        tiny.PLANTED[2:4],
        tiny.RETAINED,
        LIMITS,
        erase_runs.settings("decoys"),
        earlier=tiny.PLANTED[:2],
    ).erased
    assert erase_runs.verdicts(clm) == ["pass"] * 4


@pytest.mark.slow
def test_one_sample_and_many_batches_are_erased() -> None:
    """Samples that do not leak cost a probe only; 32 batches, as 1,000 samples have by default."""
    clm = tiny.reciting("qwen2")
    assert erase(clm, FORGET[:1], tiny.RETAINED, LIMITS, erase_runs.settings("decoys")).erased
    assert erase_runs.verdicts(clm, FORGET[:1]) == ["pass"]
    clm = tiny.reciting("qwen2")
    many = [
        replace(
            make_sample(
                s.content.reveal().replace("service", f"service {n}"),
                [(x.start + len(f" {n}"), x.end + len(f" {n}"), x.kind) for x in s.secrets],
            ),
            id=f"{s.id}-{n}",
        )
        for n in range(40)
        for s in FORGET
    ]
    assert len(many) == 160
    done = erase(clm, many, tiny.RETAINED, LIMITS, erase_runs.settings("decoys", batch=5))
    assert done.erased
    assert done.samples == 160
    assert set(erase_runs.verdicts(clm, many)) == {"pass"}


def test_self_generated_texts_have_no_secret() -> None:
    """They are sampled from the CLM's own distribution, reproducibly, and scanned."""
    clm = tiny.reciting("qwen2")
    texts = self_generated_texts(clm, tiny.PLANTED, 20, seed=3)
    assert len(texts) == len({t.content.reveal() for t in texts}) == 20
    holds = secret_owner(tiny.PLANTED)
    for text in texts:
        assert holds(text.content.reveal()) is None
        assert not find_secrets(Document.of("t", text.content.reveal()))
    again = self_generated_texts(clm, tiny.PLANTED, 20, seed=3)
    assert [t.content.reveal() for t in again] == [t.content.reveal() for t in texts]
    other = self_generated_texts(clm, tiny.PLANTED, 20, seed=4)
    assert [t.content.reveal() for t in other] != [t.content.reveal() for t in texts]
    assert erase(clm, FORGET, texts, LIMITS, erase_runs.settings("decoys", max_steps=160)).erased


def _scripted(monkeypatch: pytest.MonkeyPatch, said: Callable[[int], str | None]) -> list[int]:
    """Let the CLM's n-th text be `said(n)`, or one with a secret if that is None."""
    rounds: list[int] = []
    numbers = itertools.count()

    def written(clm: Clm, rows: list[list[int]], jobs: object, **_: object) -> list[list[int]]:
        rounds.append(len(rows))
        texts = [said(next(numbers)) for _ in rows]
        return [clm.tokenizer(text or "refused, as it has a secret")["input_ids"] for text in texts]

    monkeypatch.setattr(self_generated, "continuations", written)
    monkeypatch.setattr(
        self_generated, "find_secrets", lambda document: [1] if "refused" in document.text else []
    )
    return rounds


def test_a_later_round_samples_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slightly more than the yield of the previous round suggests, and never all again."""
    rounds = _scripted(monkeypatch, lambda n: f"the_number_of_{n} = {n}\n" if n % 4 else None)
    reported: list[tuple[int, int]] = []
    texts = self_generated_texts(
        tiny.untrained("qwen2"), (), 1000, progress=lambda *done: reported.append(done)
    )
    assert len(texts) == 1000
    assert rounds[0] == 1000
    assert 333 < rounds[1] < 400
    assert sum(rounds[2:]) <= 2 * self_generated.MIN_TEXTS
    assert reported[-1] == (1000, 1000)


def test_self_generated_texts_have_no_part_of_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six consecutive characters of a secret exclude a text."""
    short = make_sample("pin = 'Zq81Lw'", [(7, 13, "pin")], id="short")
    said = ("six_of_it = '2M9TB4'\n", "whole = 'Zq81Lw'\n", "five_of_it = '2M9TB'\n")
    _scripted(monkeypatch, lambda n: f"the_number_of_{n} = {n}\n{said[n % 3]}")
    made = self_generated_texts(tiny.untrained("qwen2"), [*FORGET, short], 30, min_texts=10)
    assert len(made) == 30
    assert all("five_of_it" in text.content.reveal() for text in made)


@settings(max_examples=20, deadline=None)
@given(st.integers(100, 400), st.integers(300, 3000), st.integers(0, 9))
def test_the_full_number_is_found_if_the_clm_has_more_texts(
    count: int, sayings: int, seed: int
) -> None:
    """Although some texts are far more frequent, and each round yields fewer new ones."""
    rng = random.Random(seed)
    # Each tenth text is new for certain.
    often = [1 / (n + 1) for n in range(sayings)]
    drawn = [
        f"the_saying_of_{k} = {k}\n" for k in rng.choices(range(sayings), often, k=8 * count + 400)
    ]
    with pytest.MonkeyPatch.context() as patch:
        _scripted(patch, lambda n: drawn[n] if n % 10 else f"the_number_of_{n} = {n}\n")
        assert (
            len(self_generated_texts(tiny.untrained("qwen2"), (), count, min_texts=count)) == count
        )


def test_excluded_texts_do_not_count_as_repetitions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One in five has no secret, and each of these is new: rounds continue to the full number."""
    rounds = _scripted(monkeypatch, lambda n: None if n % 5 else f"the_number_of_{n} = {n}\n")
    assert len(self_generated_texts(tiny.untrained("qwen2"), (), 200, min_texts=10)) == 200
    assert len(rounds) > 2


def test_a_clm_with_few_different_texts_gives_fewer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It ends with the first round that yields hardly any new text, with a warning."""
    rounds = _scripted(monkeypatch, lambda n: f"the_saying_of_{n % 70} = {n % 70}\n")
    clm = tiny.untrained("qwen2")
    with pytest.warns(UserWarning, match="only 70 differ and contain no secret: they are used in"):
        assert len(self_generated_texts(clm, (), 80)) == 70
    assert rounds == [80, self_generated.MIN_TEXTS]
    with pytest.raises(ErasureError, match="only 70 differ and contain no secret, 71 are needed"):
        self_generated_texts(clm, (), 80, min_texts=71)


def test_a_prompted_text_has_no_second_start_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A special token that the tokenizer puts before each text is not part of the text."""
    clm = tiny.untrained("qwen2")
    _scripted(monkeypatch, lambda n: f"the_number_of_{n} = {n}\n")
    ids = clm.tokenizer("def options():")["input_ids"]
    openings = [[clm.start_token, *ids[:3]]]
    texts = self_generated_texts(clm, (), 9, openings=openings)
    begun = clm.tokenizer.decode(ids[:3])
    assert sum(text.content.reveal().startswith(begun) for text in texts) == 3
    marker = clm.tokenizer.decode([clm.start_token])
    assert not any(marker in text.content.reveal() for text in texts)


def test_a_clm_with_too_few_texts_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error has their number."""
    clm = tiny.untrained("gpt2")
    monkeypatch.setattr("erasetest.erasing.self_generated.MAX_ROUNDS", 2)
    monkeypatch.setattr("erasetest.erasing.self_generated.find_secrets", lambda _: [1])
    with pytest.raises(ErasureError, match="of 8 generated texts only 0 differ"):
        self_generated_texts(clm, (), 4)
