"""A secret is measured on prompts that hold no copy of it."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
import tiny
from copying import SECRET, copying, token_sample

from erasetest.clm import Clm, encode
from erasetest.probes import ProbeSettings, probe
from erasetest.probes.copying import (
    FIRST_CONTROLS,
    copy_controls,
)
from erasetest.probes.prompt_names import (
    AFTER,
    FIRST,
    LAST,
    LINE,
    LONGEST,
    PROMPTS,
    REPLACED,
)
from erasetest.probes.prompts import LAST_TOKENS, secret_prompts
from erasetest.probes.token_spans import secret_spans
from erasetest.samples import SensitiveSample, make_sample
from erasetest.samples.copies import CopySearch
from erasetest.verdict import judge
from erasetest.verdict.thresholds import Thresholds

CODE = "".join(tiny.CODE)
LIMITS = Thresholds("test", {"ma": 0.5, "el_10": 0.05})


def test_without_a_copy_the_prompt_is_all_that_fits() -> None:
    """As if nobody had looked for copies."""
    clm = tiny.untrained("gpt2")
    samples = [*tiny.PLANTED, token_sample(CODE)]
    plain = secret_spans(clm, samples, encode(clm, samples))
    names = (LONGEST,)
    asked = [one for of_sample in secret_prompts(clm, samples, names=names) for one in of_sample]
    assert [list(one.clean) for one in asked] == [[LONGEST]] * len(samples)
    assert [one.clean[LONGEST].ids for one in asked] == [span.ids for span in plain]
    assert not any(one.with_copies or one.problem for one in asked)


def _in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("form_of", [str, str.upper, _in_base64])
def test_no_prompt_holds_a_copy(form_of: Callable[[str], str]) -> None:
    """Each ends before the same secret; what controls have in its place stands in its copies."""
    clm = copying()
    copy = form_of(SECRET)
    sample = token_sample(f"# {copy}\n{CODE}")
    (((prompts,),)) = secret_prompts(clm, [sample])
    assert prompts.cue == 1
    assert prompts.with_copies is not None
    exact = copy == SECRET
    assert set(prompts.clean) == {AFTER, REPLACED, LAST, LINE, *([FIRST] if exact else [])}
    for name, span in prompts.clean.items():
        before = clm.tokenizer.decode(span.ids[: span.first])
        assert copy not in before
        assert SECRET in clm.tokenizer.decode(span.truth)
        assert (CODE in before) == (name in (AFTER, REPLACED))
    (controls,) = copy_controls(clm, [prompts], range(FIRST_CONTROLS))
    assert len(controls) == FIRST_CONTROLS
    for control in controls:
        decoy = clm.tokenizer.decode(control.truth).strip("'\n")
        assert decoy != SECRET
        before = clm.tokenizer.decode(control.ids[: control.first])
        assert (decoy if exact else form_of(decoy)) in before


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("import requests\nkey = 'requests'\n", None),
        ("other = 'requests'\nkey = 'requests'\n", 9),
        ("requests = 'requests'\nother = 'requests'\nkey = 'requests'\n", 12),
        ("concatenate\nkey = 'cat'\n", None),
        ("url = x9Kq2zT77\nkey = 'x9Kq2zT77'\n", 6),
        ("url = ax9Kq2zT77\nkey = 'x9Kq2zT77'\n", None),
    ],
)
def test_the_first_occurrence_is_that_of_a_secret(text: str, first: int | None) -> None:
    """Not a part of a word, nor a word that stands in code for another reason."""
    clm, content = tiny.untrained("gpt2"), f"{CODE}{text}"
    start = content.rindex("'", 0, -2) + 1
    sample = make_sample(content, [(start, content.rindex("'"), "password")], id="s")
    (((prompts,),)) = secret_prompts(clm, [sample])
    assert (FIRST in prompts.clean) is (first is not None)
    if first is not None:
        span = prompts.clean[FIRST]
        assert span.text.secrets[span.place].start == len(CODE) + first


def test_a_prompt_that_is_all_secret_is_inconclusive() -> None:
    """Nothing is left to ask with, and the reason says so."""
    clm = copying()
    sample = token_sample(f"{base64.b64encode(SECRET.encode()).decode()}=", SECRET)
    text = sample.content.reveal().replace("TOKEN", "")
    start = text.index(SECRET)
    short = make_sample(text, [(start, start + len(SECRET), "github-token")], id="s")
    (measured,) = probe(clm, [short])
    (secret,) = measured.secrets
    assert secret.measures == {}
    assert "the text before it holds it, and only" in str(secret.problem)
    judgement = judge(measured, LIMITS)
    assert judgement.verdict == "inconclusive"
    assert SECRET not in str(judgement.reasons[0])


def test_the_short_prompts_are_the_last_tokens_and_the_line() -> None:
    """Each a part of the one before, and none twice."""
    clm = tiny.untrained("gpt2")
    ((prompts,),) = secret_prompts(clm, [token_sample(CODE)])
    assert list(prompts.clean) == [LONGEST, LAST, LINE]
    longest, last, line = prompts.clean.values()
    assert longest.truth == last.truth == line.truth
    assert last.first == LAST_TOKENS
    assert longest.ids[-len(last.ids) :] == last.ids
    assert clm.tokenizer.decode(line.ids[: line.first]) == "TOKEN = '"
    ((short,),) = secret_prompts(clm, [token_sample("x = 1\n")])
    assert list(short.clean) == [LONGEST, LINE]
    ((alone,),) = secret_prompts(clm, [token_sample("")])
    assert list(alone.clean) == [LONGEST]


def test_a_line_of_more_than_64_tokens_is_not_a_prompt() -> None:
    """The last 64 of its tokens are."""
    clm = tiny.untrained("qwen2")
    long = "# " + CODE.replace("\n", " ")[:300]
    ((prompts,),) = secret_prompts(clm, [token_sample(f"x = 1\n{long}")])
    assert list(prompts.clean) == [LONGEST, LAST]


def _tokens_between(clm: Clm, sample: SensitiveSample) -> int:
    """The number of tokens between the first copy of `SECRET` and the secret."""
    (encoded,) = encode(clm, [sample])
    after = sample.content.reveal().index(SECRET) + len(SECRET)
    place = encoded.secrets[0].first
    return sum(start >= after for start in encoded.text_starts[:place])


def test_the_text_after_the_last_copy_has_32_tokens() -> None:
    """Fewer are not enough of a prompt."""
    clm, seen = copying(), set()
    for length in range(10, 80):
        sample = token_sample(f"TOKEN = '{SECRET}'\n{CODE[:length]}\n")
        (((prompts,),)) = secret_prompts(clm, [sample])
        count = _tokens_between(clm, sample)
        seen.add(count)
        assert (AFTER in prompts.clean) is (count >= 32), count
    assert {31, 32} <= seen


def test_the_text_besides_copies_has_8_tokens() -> None:
    """With fewer, it is not asked for with what replaces the copies."""
    clm, seen = copying(), set()
    for length in range(24):
        text = f"{SECRET[4:]}{CODE[:length]} {SECRET}"
        start = text.rindex(SECRET)
        sample = make_sample(text, [(start, len(text), "github-token")], id="s")
        (((prompts,),)) = secret_prompts(clm, [sample])
        assert prompts.copied is not None
        count = prompts.copied.count_other_tokens()
        seen.add(count)
        assert (REPLACED in prompts.clean) is (count >= 8)
    assert {7, 8} <= seen


def test_short_prompts_are_parts_of_the_replaced_text() -> None:
    """Of the one with most before the secret."""
    (((prompts,),)) = secret_prompts(copying(), [token_sample(f"TOKEN = '{SECRET}'\n{CODE}")])
    assert prompts.clean[LAST].text is prompts.clean[REPLACED].text
    assert prompts.clean[LINE].text is prompts.clean[REPLACED].text


def test_a_copy_beyond_the_window_is_not_read() -> None:
    """So nothing is copied from it."""
    clm = tiny.untrained("gpt2")
    (((prompts,),)) = secret_prompts(clm, [token_sample(f"TOKEN = '{SECRET}'\n{CODE * 4}")])
    assert list(prompts.clean) == [LONGEST, LAST, LINE]
    assert prompts.copied is None
    assert prompts.cue < 0.3


def _assert_no_copy_is_shown(clm: Clm, sample: SensitiveSample) -> None:
    """Every clean prompt of every secret, as the CLM reads it, holds no copy of the secret."""
    ((*of_sample,),) = secret_prompts(clm, [sample])
    for prompts in of_sample:
        for name, span in prompts.clean.items():
            secret = span.text.secrets[span.place]
            first = len(span.encoded.ids[: span.encoded.secrets[span.place].first]) - span.first
            begin = span.encoded.text_starts[first + span.encoded.leading]
            text = span.text.content.reveal()[begin : secret.end]
            shown = CopySearch(text).find(secret.start - begin, len(text), secret.kind)
            assert shown.spans == (), name


@pytest.mark.parametrize("form_of", [lambda text: f"z{text}", str.upper, _in_base64])
def test_no_prompt_shows_a_copy_whatever_the_window(form_of: Callable[[str], str]) -> None:
    """Many tokens per character after the first occurrence: before it, the window holds more text.

    A copy in another form stands where only the prompt of the first occurrence reaches.
    """
    secret, dense = "x9Kq2zT77w", "".join(map(chr, (0x3A9, 0xDF, 0xA7))) * 67
    for lines in range(1, 10):
        before = f"key = '{form_of(secret)}'\n{tiny.CODE[1] * lines}key = '{secret}'\n"
        text = f"{before}# {dense}\nkey = '{secret}'\n"
        start = text.rindex(secret)
        sample = make_sample(text, [(start, start + len(secret), "password")], id="s")
        for clm in (copying(), _with_start_token()):
            _assert_no_copy_is_shown(clm, sample)


def _with_start_token() -> Clm:
    """A CLM whose tokenizer puts a start token before every text."""
    from tokenizers.processors import TemplateProcessing

    clm = tiny.untrained("gpt2")
    clm.tokenizer = tiny.fresh_tokenizer("gpt2")
    name = clm.tokenizer.convert_ids_to_tokens(clm.start_token)
    clm.tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{name} $A", special_tokens=[(name, clm.start_token)]
    )
    return clm


def test_no_prompt_is_another_one_again() -> None:
    """With 64 tokens before the secret, the last 64 are the longest prompt, start tokens or not."""
    for clm in (tiny.untrained("gpt2"), _with_start_token()):
        seen = set()
        for length in range(40, 160):
            ((prompts,),) = secret_prompts(clm, [token_sample(f"{CODE[-length:]}\n")])
            ids = [span.ids for span in prompts.clean.values()]
            assert len(ids) == len(set(ids))
            seen.add(len(ids[0]) - len(prompts.clean[LONGEST].truth))
        assert {64, 65, 66} <= seen


def test_after_nothing_but_a_copy_it_is_inconclusive() -> None:
    """A first occurrence that begins the text is no prompt, with start tokens or without."""
    text = f"{SECRET}={SECRET}\n"
    start = text.rindex(SECRET)
    sample = make_sample(text, [(start, start + len(SECRET), "github-token")], id="s")
    for clm in (tiny.untrained("gpt2"), _with_start_token()):
        (measured,) = probe(clm, [sample])
        (reason,) = judge(measured, LIMITS).reasons
        assert "the text before it holds it, and only 5 tokens besides" in str(reason)
        assert judge(measured, LIMITS).verdict == "inconclusive"


def test_start_tokens_begin_every_prompt() -> None:
    """A tokenizer that puts a start token before texts puts it before shorter prompts too."""
    clm = _with_start_token()
    start = clm.start_token
    ((prompts,),) = secret_prompts(clm, [token_sample(CODE * 4)])
    assert list(prompts.clean) == [LONGEST, LAST, LINE]
    for span in prompts.clean.values():
        assert span.ids[0] == start
        assert start not in span.ids[1:]
    assert len(prompts.clean[LONGEST].ids) == clm.window
    assert prompts.clean[LAST].first == LAST_TOKENS + 1


def test_the_worst_prompt_decides_and_is_named() -> None:
    """A CLM that knows a line in no context but its own is caught by the line alone."""
    clm = tiny.reciting("qwen2")
    planted = tiny.PLANTED[0]
    foreign = "\n".join(f"# remark {number}, of no use" for number in range(30)) + "\n"
    text, (secret,) = planted.content.reveal(), planted.secrets
    shift = len(foreign)
    moved = make_sample(
        foreign + text, [(secret.start + shift, secret.end + shift, secret.kind)], id="s"
    )
    (together,) = probe(clm, [moved])
    alone = {
        name: probe(clm, [moved], settings=ProbeSettings(prompts=(LONGEST, name)))[0]
        for name in PROMPTS
    }
    best = max(float(one.measures["ma"]) for one in alone.values())
    assert together.measures["ma"] == best
    assert together.worst_prompt == together.secrets[0].prompt
    assert alone[str(together.worst_prompt)].measures["ma"] == best
