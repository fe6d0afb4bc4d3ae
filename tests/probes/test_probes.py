"""Probes against their definitions, computed token by token."""

from __future__ import annotations

import random

import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from probe_oracles import CASES, Oracle, assert_equal, assert_same, close

from erasetest.probes import probe
from erasetest.samples import make_sample


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_measures_are_those_of_the_definition(family: str) -> None:
    """MA, EL and extraction of every kind of secret equal a token-by-token computation."""
    clm = tiny.reciting(family)
    oracle = Oracle(clm)
    found = probe(clm, list(CASES.values()))
    for name, sample, measured in zip(CASES, CASES.values(), found, strict=True):
        try:
            assert_equal(measured, oracle.measures(sample))
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_planted_secrets_are_remembered_whole_and_in_part(family: str) -> None:
    """The tiny CLMs know some secrets completely and some in part, by every measure."""
    clm = tiny.reciting(family)
    oracle = Oracle(clm)
    found = probe(clm, tiny.PLANTED)
    for sample, measured in zip(tiny.PLANTED, found, strict=True):
        assert_equal(measured, oracle.measures(sample))
    assert any(m.measures["extracted"] for m in found)
    assert not all(m.measures["extracted"] for m in found)
    for name in ("ma", "el_3", "el_5"):
        assert any(0 < m.measures[name] < 1 for m in found)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_random_spans(family: str) -> None:
    """Spans anywhere in planted code, for a CLM that recites and one that does not."""
    rng = random.Random(7)
    samples = []
    for number in range(8):
        content = "".join(
            rng.sample([s.content.reveal() for s in tiny.PLANTED], rng.choice((1, 3)))
        )
        spans = []
        for _ in range(rng.choice((1, 1, 2))):
            start = rng.randrange(len(content) - 1)
            end = min(len(content), start + rng.choice((1, 3, 8, 20)))
            spans.append((start, end, "token"))
        samples.append(make_sample(content, spans, id=str(number)))
    for clm in (tiny.reciting(family), tiny.untrained(family)):
        oracle = Oracle(clm)
        for sample, measured in zip(samples, probe(clm, samples), strict=True):
            assert_equal(measured, oracle.measures(sample))


PIECES = [sample.content.reveal() for sample in tiny.PLANTED] + [
    "ä→ж", "\n\n    ", "🙂🙂", "password = ", "x", "\t",
]  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(tiny.FAMILIES), st.lists(st.sampled_from(PIECES), min_size=1), st.data())
def test_any_spans_of_any_content(family: str, pieces: list[str], data: st.DataObject) -> None:
    """Any content with secrets anywhere has the measures of the definition."""
    content = "".join(pieces)[:400]
    starts = st.integers(0, len(content) - 1)
    spans = [
        (start, min(len(content), start + data.draw(st.integers(1, 24))), "token")
        for start in data.draw(st.lists(starts, min_size=1, max_size=2))
    ]
    clm = tiny.reciting(family)
    sample = make_sample(content, spans, id="s")
    (found,) = probe(clm, [sample])
    for secret, wanted in zip(found.secrets, Oracle(clm).measures(sample), strict=True):
        assert (secret.problem is None) == bool(wanted)
        if wanted:
            assert secret.measures == close(wanted)


@pytest.mark.parametrize(
    "shortcuts", [{"cache": False}, {"head": False}, {"cache": False, "head": False}]
)
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_without_shortcuts_the_measures_are_the_same(
    family: str, shortcuts: dict[str, bool]
) -> None:
    """Without a shared cache or separate head the results are the same."""
    samples = [*tiny.PLANTED, CASES["before and past the window"]]
    wanted = probe(tiny.reciting(family), samples)
    clm = tiny.reciting(family)
    clm.capabilities.update(shortcuts)
    assert_same(probe(clm, samples), wanted)
    assert shortcuts.items() <= clm.capabilities.items()


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_tiny_clms_take_both_shortcuts(family: str) -> None:
    """The three families use the fast path, so the tests above check it."""
    clm = tiny.untrained(family)
    probe(clm, tiny.PLANTED[:1])
    assert clm.capabilities == {"head": True, "cache": True}


@pytest.mark.parametrize("batch_tokens", [1, 100, 300, 100_000])
def test_measures_do_not_depend_on_the_batch(batch_tokens: int) -> None:
    """Order and batch size do not change the measures."""
    samples = [*tiny.PLANTED, *CASES.values()]
    clm = tiny.reciting("qwen2")
    wanted = probe(clm, samples)
    clm.batch_tokens = batch_tokens
    shuffled = random.Random(batch_tokens).sample(range(len(samples)), len(samples))
    found = probe(clm, [samples[i] for i in shuffled])
    assert_same(found, [wanted[i] for i in shuffled])


def test_one_at_a_time_is_as_all_together() -> None:
    """A sample's measures do not depend on the other samples."""
    clm = tiny.reciting("gpt2")
    samples = [*tiny.PLANTED[:4], CASES["past the window"], CASES["at offset 0"]]
    assert_same([probe(clm, [sample])[0] for sample in samples], probe(clm, samples))
