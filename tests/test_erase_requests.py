"""One request after another, of any size, and retained code of its own."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import erasing
import numpy as np
import pytest
import tiny
from erasing import FORGET, LIMITS

from erasetest.clm import Clm, continuations, load_clm
from erasetest.clm.sampler import uniform_numbers
from erasetest.erase import erase, erase_to, generated, own_generations, unchecked
from erasetest.errors import ErasureError
from erasetest.retained import holder
from erasetest.samples import make_sample
from erasetest.scan import Document, find_secrets


def test_what_was_erased_before_stays_erased(tmp_path: Path) -> None:
    """A second request checks the first one's samples, and knows of them from the checkpoint."""
    first, second = tiny.PLANTED[:2], tiny.PLANTED[2:4]
    one = tiny.reciting("qwen2")
    assert erase_to(
        tmp_path / "one", one, first, tiny.RETAINED, LIMITS, erasing.settings("decoys")
    ).erased
    clm = load_clm(str(tmp_path / "one"))
    assert unchecked(clm, second) == 2
    assert unchecked(clm, [*first, *second]) == 0
    done = erase_to(
        tmp_path / "two",
        clm,
        second,
        tiny.RETAINED,
        LIMITS,
        erasing.settings("decoys"),
        earlier=first,
    )
    assert (done.erased, done.samples, done.rechecked) == (True, 2, 2)
    back = load_clm(str(tmp_path / "two"))
    assert [record.ids for record in back.records] == [
        tuple(s.id for s in first),
        tuple(s.id for s in second),
    ]
    assert erasing.verdicts(back, tiny.PLANTED[:4]) == ["pass"] * 4
    text = (tmp_path / "two" / "erasetest.json").read_text()
    assert json.loads(text)["schema"] == "erasetest.erasures/1"
    assert not any(secret in text for _, secret in tiny.SECRETS)


def test_an_earlier_sample_that_leaks_again_is_erased_again() -> None:
    """It is checked like the others, not trusted."""
    clm = tiny.reciting("qwen2")
    assert erase(
        clm,
        tiny.PLANTED[2:4],
        tiny.RETAINED,
        LIMITS,
        erasing.settings("decoys"),
        earlier=tiny.PLANTED[:2],
    ).erased
    assert erasing.verdicts(clm) == ["pass"] * 4


def test_one_sample_and_a_thousand_are_erased() -> None:
    """Those that do not leak cost a probe, and a place in the batch."""
    clm = tiny.reciting("qwen2")
    assert erase(clm, FORGET[:1], tiny.RETAINED, LIMITS, erasing.settings("decoys")).erased
    assert erasing.verdicts(clm, FORGET[:1]) == ["pass"]
    clm = tiny.reciting("qwen2")
    many = [
        replace(
            make_sample(
                s.content.reveal().replace("service", f"service {n}"),
                [(x.start + len(f" {n}"), x.end + len(f" {n}"), x.kind) for x in s.secrets],
            ),
            id=f"{s.id}-{n}",
        )
        for n in range(250)
        for s in FORGET
    ]
    assert len(many) == 1000
    done = erase(clm, many, tiny.RETAINED, LIMITS, erasing.settings(method="codeeraser"))
    assert done.erased
    assert done.samples == 1000
    assert set(erasing.verdicts(clm, many)) == {"pass"}


def test_own_generations_hold_no_secret() -> None:
    """They are drawn from the CLM's own distribution, the same for a seed, and scanned."""
    clm = tiny.reciting("qwen2")
    texts = own_generations(clm, tiny.PLANTED, 20, seed=3)
    assert len(texts) == len({t.content.reveal() for t in texts}) == 20
    holds = holder(tiny.PLANTED)
    for text in texts:
        assert holds(text.content.reveal()) is None
        assert not find_secrets(Document.of("t", text.content.reveal()))
    again = own_generations(clm, tiny.PLANTED, 20, seed=3)
    assert [t.content.reveal() for t in again] == [t.content.reveal() for t in texts]
    other = own_generations(clm, tiny.PLANTED, 20, seed=4)
    assert [t.content.reveal() for t in other] != [t.content.reveal() for t in texts]
    assert erase(clm, FORGET, texts, LIMITS, erasing.settings("decoys", max_steps=160)).erased


def _rounds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts each round of writing asks for, as they come."""
    rounds: list[int] = []

    def counted(clm: Clm, rows: list[list[int]], *given: Any, **how: Any) -> list[list[int]]:
        rounds.append(len(rows))
        return continuations(clm, rows, *given, **how)

    monkeypatch.setattr(generated, "continuations", counted)
    return rounds


def test_a_later_round_draws_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A little more than what was kept so far lets expect to be needed, and never all again."""
    rounds = _rounds(monkeypatch)
    told: list[tuple[int, int]] = []
    numbers = itertools.count()
    # Of the first forty texts each fourth is refused, and none after; hardly any is said twice.
    monkeypatch.setattr(generated, "_SHORTEST", 0)
    monkeypatch.setattr(
        generated, "find_secrets", lambda _: [1] if (n := next(numbers)) < 40 and n % 4 == 0 else []
    )
    texts = own_generations(
        tiny.reciting("qwen2"), (), 40, progress=lambda *done: told.append(done)
    )
    assert len(texts) == 40
    assert rounds[0] == 40
    assert 10 < rounds[1] < 25
    assert told[-1] == (40, 40)


def test_a_clm_with_little_to_say_gives_fewer_where_that_will_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It ends with the first round that brings hardly anything new."""
    rounds = _rounds(monkeypatch)
    clm = tiny.untrained("gpt2")

    # Drawn at random numbers that are all the same, its texts are too.
    def same(draws: int, tokens: int, _: int) -> np.ndarray:
        return np.tile(uniform_numbers(1, tokens, 5), (draws, 1))

    monkeypatch.setattr(generated, "uniform_numbers", same)
    assert len(own_generations(clm, (), 30, least=1)) == 1
    assert len(rounds) == 1
    with pytest.raises(ErasureError, match="only 1 differ and hold no secret, 2 are needed"):
        own_generations(clm, (), 30, least=2)


def test_a_clm_that_writes_the_same_over_and_over_gives_no_retained_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It says how many there are, and what to do."""
    clm = tiny.untrained("gpt2")
    monkeypatch.setattr("erasetest.erase.generated._ROUNDS", 2)
    monkeypatch.setattr("erasetest.erase.generated.find_secrets", lambda _: [1])
    with pytest.raises(ErasureError, match="of 8 texts that it wrote only 0 differ"):
        own_generations(clm, (), 4)
