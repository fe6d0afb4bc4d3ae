"""Tokenized examples: which secret each token belongs to."""

from __future__ import annotations

import random
from dataclasses import replace

import erase_runs
import pytest
import tiny
from erase_runs import FORGET

from erasetest.clm import encode
from erasetest.erasing import erase
from erasetest.erasing.examples import (
    CONTEXT,
    IGNORED,
    append_eos,
    decoy_examples,
    forget_examples,
    retained_examples,
    unmarked_secrets,
)
from erasetest.errors import BadInput
from erasetest.samples import SensitiveSample, make_sample
from erasetest.samples.decoys import with_decoys
from erasetest.verdict import Thresholds


def test_tokens_are_labelled_as_secret_or_context() -> None:
    """Secrets have the same tokens as in probes; all others are context."""
    clm = tiny.untrained("gpt2")
    samples = [
        *FORGET,
        make_sample("key = 'ab12cd'", [(0, 3, "x"), (7, 13, "y")], id="two"),
    ]
    rows, count = forget_examples(clm, samples)
    assert count == 6
    number = 0
    for row, encoded in zip(rows, encode(clm, samples), strict=True):
        assert row.ids == encoded.ids
        wanted: list[frozenset[int]] = [CONTEXT] * len(row.ids)
        for place in encoded.secrets:
            for i in range(place.first, place.last):
                wanted[i] = frozenset({number})
            number += 1
        assert list(row.secret_ids) == wanted
    assert [row.secrets for row in rows] == [{0}, {1}, {2}, {3}, {4, 5}]


def test_overlapping_secrets_share_tokens() -> None:
    """A secret inside another has tokens too: otherwise its erasure could not be observed."""
    clm = tiny.untrained("qwen2")
    sample = make_sample("user=kim:x81Lq0Zt", [(5, 17, "basic-auth"), (9, 17, "password")])
    (row,), _ = forget_examples(clm, [sample])
    both = [secret_ids for secret_ids in row.secret_ids if secret_ids == {0, 1}]
    assert both
    assert row.secret_ids[-1] == {0, 1}
    assert row.secrets == {0, 1}


def _two_lines() -> list[SensitiveSample]:
    """Return two samples of one text, one per secret; the first secret occurs twice."""
    text = "one = 'Zx81Lq0Zt'; two = 'Pw55nd'; again = 'Zx81Lq0Zt'"
    return [
        make_sample(text, [(7, 16, "token")], id="one"),
        make_sample(text, [(26, 32, "pin")], id="two"),
    ]


def test_an_unmarked_secret_is_not_context() -> None:
    """It is marked in another sample of the same text, or is a further occurrence."""
    clm = tiny.untrained("qwen2")
    samples = _two_lines()
    text = samples[0].content.reveal()
    again = (text.rindex("Zx81"), text.rindex("'"))
    places = [[span[:2] for span in spans] for spans in unmarked_secrets(samples)]
    assert [sorted(spans) for spans in places] == [[(26, 32), again], [(7, 16), again]]
    rows, count = forget_examples(clm, samples)
    assert count == 2
    whole = make_sample(text, [(7, 16, "a"), (26, 32, "b"), (*again, "c")])
    (encoded,) = encode(clm, [whole])
    for number, row in enumerate(rows):
        assert row.ids == encoded.ids
        for place, mine in zip(encoded.secrets, (number == 0, number == 1, False), strict=True):
            wanted = frozenset({number}) if mine else IGNORED
            assert set(row.secret_ids[place.first : place.last]) == {wanted}
        assert sum(bool(secret_ids) for secret_ids in row.secret_ids) == sum(
            map(len, encoded.secrets)
        )


def test_unmarked_words_and_parts_of_words_are_code() -> None:
    """Of overlapping matches the longest is taken."""
    words = make_sample("password = 'password'", [(12, 20, "password")], id="words")
    text = "a = 'Zx81Lq0Zt'; b = xZx81Lq0Zt; c = Zx81Lq0Zt2; d = 'Zx81Lq0Zt-Pw55'; e = 'Pw55ndPw'"
    whole = make_sample(text, [(5, 14, "token")], id="whole")
    longer = make_sample("x = 'Zx81Lq0Zt-Pw55'", [(5, 19, "pin")], id="longer")
    first = text.index("Zx81Lq0Zt-Pw55")
    places = unmarked_secrets([words, whole, longer])
    assert places == [[], [(first, first + 14, "pin")], []]


def test_control_secrets_are_not_copies_of_each_other() -> None:
    """Each is a reference: one that can be copied would excuse a memorized secret."""
    sample = make_sample("a = 'Zx81Lq0Zt'; b = 'Zx81Lq0Zt'", [(5, 14, "k"), (22, 31, "k")], id="a")
    for repeated in (True, False):
        drawn = with_decoys(sample, "decoy", random.Random(0), repeated=repeated)
        one, two = (secret.text.reveal() for secret in drawn.secrets)
        assert (one == two) is repeated


def test_a_decoy_replaces_every_occurrence_of_its_secret() -> None:
    """A text with decoys has no secret, and the same decoy in each place of a secret."""
    clm = tiny.untrained("qwen2")
    samples = _two_lines()
    rows, _ = forget_examples(clm, samples)
    made = decoy_examples(clm, samples, rows, random.Random(0))
    assert [set(row.secrets) for row in made] == [{0}, {1}]
    for row in made:
        text = clm.tokenizer.decode(list(row.ids))
        assert "Zx81Lq0Zt" not in text
        assert "Pw55nd" not in text
        assert text[7:16] == text[text.rindex(" = '") + 4 : text.rindex("'")]


def test_a_line_for_each_secret_of_a_file_is_erased() -> None:
    """What is context in one sample is a secret in the other."""
    text = tiny.PLANTED[0].content.reveal()
    (secret,) = tiny.PLANTED[0].secrets
    middle = secret.start + 10
    lines = [
        make_sample(text, [(secret.start, middle, "token")], id="line-1"),
        make_sample(text, [(middle, secret.end, "token")], id="line-2"),
    ]
    clm = tiny.reciting("qwen2")
    done = erase(clm, lines, tiny.RETAINED, erase_runs.LIMITS, erase_runs.settings("decoys"))
    assert done.erased
    assert done.steps < 40


def test_each_secret_of_a_long_sample_has_an_example() -> None:
    """It ends with the secret and fits the window; other secrets in it are ignored."""
    clm = tiny.untrained("codegen")
    sample = erase_runs.long(0, 1, 2)
    rows, count = forget_examples(clm, [sample, FORGET[0]])
    assert (len(rows), count) == (4, 4)
    encoded = encode(clm, [sample])[0]
    assert len(encoded.ids) > clm.window
    for number, (row, place) in enumerate(zip(rows[:3], encoded.secrets, strict=True)):
        begin = max(0, place.last - clm.window)
        assert row.ids == encoded.ids[begin : place.last]
        assert len(row.ids) <= clm.window
        assert row.secrets == {number}
        for i, secret_ids in enumerate(row.secret_ids, begin):
            inside = [n for n, p in enumerate(encoded.secrets) if p.first <= i < p.last]
            if number in inside:
                assert secret_ids == {number}
            else:
                assert secret_ids == (IGNORED if inside else CONTEXT)
    assert any(IGNORED in row.secret_ids for row in rows[:3])
    assert rows[3].secrets == {3}


def test_each_decoy_of_a_long_sample_has_an_example() -> None:
    """The places of other secrets in it are ignored: their decoys have their own examples."""
    clm = tiny.untrained("codegen")
    samples = [FORGET[3], erase_runs.long(0, 1, 2)]
    rows, _ = forget_examples(clm, samples)
    assert any(IGNORED in row.secret_ids for row in rows)
    made = decoy_examples(clm, samples, rows, random.Random(0))
    assert [(row.sample, set(row.secrets)) for row in made] == [
        (0, {0}),
        (1, {1}),
        (1, {2}),
        (1, {3}),
    ]
    for number, row in enumerate(made[1:], 1):
        assert len(row.ids) <= clm.window
        owned = [number in secret_ids for secret_ids in row.secret_ids]
        # An example ends with its secret.
        assert owned == sorted(owned)
        assert 5 < sum(owned) < len(owned) / 2


def test_samples_that_cannot_be_erased_are_named() -> None:
    """Without secrets, or with one that does not fit the window."""
    clm = tiny.untrained("gpt2")
    with pytest.raises(BadInput, match=r"^sample plain: has no secret to erase$"):
        forget_examples(clm, [make_sample("x = 1", id="plain")])
    long = "".join(random.Random(0).choice("0123456789") for _ in range(200))
    with pytest.raises(BadInput, match=r"^sample long: a secret of \d+ tokens cannot be erased"):
        forget_examples(clm, [make_sample(f"x = {long}", [(4, 204, "token")], id="long")])


def test_retained_examples_are_truncated_to_the_window() -> None:
    """Texts of one token predict nothing and are left out; without others it is an error."""
    clm = tiny.untrained("gpt2")
    texts = [make_sample("x = 1\n" * 90), make_sample("x"), *tiny.RETAINED]
    rows = retained_examples(clm, texts)
    assert len(rows) == 1 + len(tiny.RETAINED)
    assert len(rows[0].ids) == clm.window
    assert all(set(row.secret_ids) == {CONTEXT} for row in rows)
    for nothing in ([], [make_sample("x")]):
        with pytest.raises(BadInput, match="the retained set is empty"):
            retained_examples(clm, nothing)


def test_the_eos_prediction_is_context() -> None:
    """An example that fills the window has no room for it."""
    clm = tiny.untrained("qwen2")
    rows = [
        *forget_examples(clm, FORGET[:1])[0],
        *retained_examples(clm, [make_sample("x = 1\n" * 90)]),
    ]
    ended, full = append_eos(clm, rows)
    assert ended.ids[:-1] == rows[0].ids
    assert ended.ids[-1] in clm.end_tokens
    assert ended.secret_ids == (*rows[0].secret_ids, CONTEXT)
    assert full == rows[1]


def test_decoys_have_the_numbers_of_their_secrets_and_fit_the_window() -> None:
    """A format without choice has no decoy; one with too many tokens is left out, not an error."""
    clm = tiny.untrained("qwen2")
    samples = [
        make_sample("a = '→→'; b = 'x81L'", [(5, 7, "sign"), (15, 19, "pin")], id="two"),
        make_sample("a = '→→'", [(5, 7, "sign")], id="none"),
        make_sample("key = 'selftablesitem'", [(7, 21, "token")], id="words"),
    ]
    rows, _ = forget_examples(clm, samples)
    made = decoy_examples(clm, samples, rows, random.Random(0))
    assert [(row.sample, set(row.secrets)) for row in made] == [(0, {1}), (2, {3})]
    assert made[1].ids != rows[2].ids
    # The words are four tokens; random letters are more.
    clm.window = len([o for o in rows[2].secret_ids if o]) + 1
    settings = erase_runs.settings("decoys", max_steps=1)
    assert decoy_examples(clm, samples[2:], [replace(rows[2], sample=0)], random.Random(0)) == []
    limits = Thresholds("test", {"ma": 0.0, "el_10": 0.0})
    erase(clm, samples[2:], tiny.RETAINED, limits, settings)
