"""Masked text is never shown, and the redactor masks the rest of the output."""

from __future__ import annotations

import base64
import copy
import inspect
import itertools
import json
import logging
import pickle
import pprint
from collections.abc import Callable
from dataclasses import asdict

import pytest
import rich.pretty
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.vendor.pretty import pretty as hypothesis_pretty

from erasetest.samples import Masked, make_sample
from erasetest.samples.redactor import MIN_LENGTH, WINDOW, Redactor, StreamRedactor

TEXT = "hunter2-hunter2"
# Without the brackets of "[masked]", which would become a part of a secret.
ALPHABET = st.sampled_from("abcAB019 =\"'\\\n\t/+-_.éß→漢😀")
SECRETS = st.text(ALPHABET, min_size=MIN_LENGTH, max_size=40)
NOISE = st.text(ALPHABET, max_size=30)


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        "{}".format,
        "{:>40}".format,
        "{!r}".format,
        lambda masked: f"{masked}",
        lambda masked: "%s %r" % (masked, masked),  # noqa: UP031
        lambda masked: repr([masked, {"x": masked}]),
        lambda masked: repr(pickle.loads(pickle.dumps(masked))),
        lambda masked: repr(copy.copy(masked)) + repr(copy.deepcopy(masked)),
        lambda masked: repr(asdict(make_sample(TEXT, [(0, 15, "password")]))),
        lambda masked: repr(make_sample(TEXT, [(0, 15, "password")])),
        lambda masked: logging.LogRecord("x", 10, "x", 1, "%s", (masked,), None).getMessage(),
        lambda masked: repr(pickle.dumps(masked, protocol=0)),
        lambda masked: repr(masked.__getstate__()),
        lambda masked: repr([masked.__reduce_ex__(protocol) for protocol in range(6)]),
        lambda masked: repr(inspect.getmembers(masked)),
        lambda masked: repr([getattr(masked, name) for name in type(masked).__slots__]),
        lambda masked: f"{masked._reveal}",
        lambda masked: json.dumps([masked], default=str),
        lambda masked: pprint.pformat({"x": [masked]}),
        lambda masked: rich.pretty.pretty_repr([masked]),
        lambda masked: hypothesis_pretty([masked]),
        lambda masked: repr(pickle.dumps(make_sample(TEXT, [(0, 15, "password")], id="s"))),
    ],
)
def test_no_way_of_showing_shows_the_text(show: Callable[[Masked], str]) -> None:
    """Formatting, logging, copying and pickling show its length at most."""
    assert "hunter" not in show(Masked(TEXT))


def test_masked_text_can_be_revealed() -> None:
    """`reveal`, equality and length work; it is not a string and not iterable."""
    masked = Masked(TEXT)
    assert masked.reveal() == TEXT
    assert copy.deepcopy(masked) is masked
    assert masked == Masked(TEXT)
    assert masked != Masked("other")
    assert masked != TEXT
    assert len({masked, Masked(TEXT), Masked("other")}) == 2
    assert len(masked) == 15
    assert repr(masked) == "<masked, 15 characters>"
    assert not isinstance(masked, str)
    with pytest.raises(TypeError, match="call reveal"):
        list(masked)
    with pytest.raises(TypeError):
        json.dumps(masked)
    with pytest.raises(AttributeError):
        masked.text = "other"  # type: ignore[attr-defined]


def test_an_unpickled_copy_has_lost_the_text() -> None:
    """It keeps its length, and the error gives a remedy."""
    masked = pickle.loads(pickle.dumps(Masked(TEXT)))
    assert len(masked) == 15
    assert repr(masked) == "<masked, 15 characters>"
    with pytest.raises(ValueError, match="read the manifest again"):
        masked.reveal()


def test_assertions_do_not_show_masked_text(pytester: pytest.Pytester) -> None:
    """pytest's rewritten assertions and locals show its length only."""
    pytester.makepyfile(
        """
        from erasetest.samples import Masked
        def test_it():
            masked, other = Masked("hunter2" * 3), Masked("hunter3" * 3)
            assert masked == other
        """
    )
    result = pytester.runpytest_inprocess("-vv", "--showlocals", "-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    shown = result.stdout.str()
    assert "<masked, 21 characters>" in shown
    assert "hunter2hunter" not in shown
    assert "hunter3hunter" not in shown


@settings(deadline=None)  # other processes share the cores
@given(st.lists(SECRETS, min_size=1, max_size=3), NOISE, NOISE, st.data())
def test_no_part_of_a_secret_survives(
    secrets: list[str], before: str, after: str, data: st.DataObject
) -> None:
    """No `WINDOW` characters of a whole or cut secret remain, nor a short secret."""
    redactor = Redactor(Masked(secret) for secret in secrets)
    secret = data.draw(st.sampled_from(secrets))
    start = data.draw(st.integers(0, max(0, len(secret) - WINDOW)))
    end = data.draw(st.integers(min(len(secret), start + WINDOW), len(secret)))
    out = redactor(before + secret[start:end] + after)
    for one in secrets:
        if len(one) < WINDOW:
            assert one not in out
        for i in range(len(one) - WINDOW + 1):
            assert one[i : i + WINDOW] not in out
    if end - start >= WINDOW or len(secret) < WINDOW:
        assert "[masked]" in out
    assert not redactor.finds(out)


@settings(deadline=None)  # other processes share the cores
@given(st.text(), SECRETS, NOISE)
def test_text_without_secrets_is_unchanged(text: str, secret: str, noise: str) -> None:
    """No character changes if the text contains no part of a secret."""
    assert Redactor([])(text) == text
    redactor = Redactor([Masked(secret)])
    text = noise + text
    windows = {secret[i : i + WINDOW] for i in range(max(1, len(secret) - WINDOW + 1))}
    assume(not any(window in text for window in windows))
    assume("\\" not in text)  # an escaped form of the secret needs one
    assert redactor(text) == text
    assert not redactor.finds(text)


@pytest.mark.parametrize(
    "escape",
    [
        lambda text: repr(text),
        lambda text: repr(f"it's {text}"),
        lambda text: repr(f'it\'s "{text}"'),
        lambda text: repr([text]),
        lambda text: ascii(text),
        lambda text: ascii(f'it\'s "{text}"'),
        lambda text: json.dumps({"x": text}),
        lambda text: json.dumps([text], ensure_ascii=False),
    ],
)
@settings(deadline=None)  # other processes share the cores
@given(st.text(ALPHABET, min_size=WINDOW, max_size=40))
def test_an_escaped_secret_is_masked(escape: Callable[[str], str], secret: str) -> None:
    """As written by repr and JSON, with escaped quotes, line breaks and letters."""
    redactor = Redactor([Masked(secret)])
    shown = redactor(escape(secret))
    whole = escape(secret)
    at = whole.find(escape(secret).strip("\"'[]{}"))
    assert at >= 0
    assert "[masked]" in shown
    # What is left is the container: the quotes and brackets around, and text put there by us.
    left = shown.replace("[masked]", "")
    assert len(left) <= len(escape("")) + 2


def test_short_secrets() -> None:
    """Below `WINDOW` characters it must occur whole; below `MIN_LENGTH` it is not masked."""
    redactor = Redactor([Masked("pw42"), Masked("abc")])
    assert redactor("x = pw42pw42; abc; pw4 2") == "x = [masked]; abc; pw4 2"
    assert redactor("pw42") == "[masked]"


def test_a_run_is_masked_once_and_the_rest_is_kept() -> None:
    """Adjacent and overlapping finds get one mark."""
    redactor = Redactor([Masked("0123456789"), Masked("56789abcde")])
    assert redactor("<0123456789abcde>") == "<[masked]>"
    assert redactor("0123456789 and 0123456") == "[masked] and 0123456"
    assert redactor("") == ""


KEY = "q7'Xv2\"Lm9\\Rt4"
CODES = "\x1b[39;49;00m\x1b[33m"


@pytest.mark.parametrize(
    ("shown", "masked"),
    [
        (f"<\x1b[31m{CODES.join(KEY)}\x1b[0m>", "<\x1b[31m[masked]\x1b[0m\x1b[0m>"),
        (f"<{KEY[:5]}\x1b]8;;http://x\x1b\\{KEY[5:]}>", "<[masked]\x1b]8;;\x1b\\>"),
        (f"<{KEY[::-1]}>", "<[masked]>"),
        (f"<{KEY.encode('utf-16-le').decode('latin-1')}>", "<[masked]\x00>"),
        (f"E       '{KEY[:6]}'\nE        '{KEY[6:]}'", "E       '[masked]'"),
        (f"│ {KEY[:6]} │\n│ {KEY[6:]} │", "│ [masked] │"),
        (f"- {KEY[:6]}\n?   ^^\n- {KEY[6:]}\n", "- [masked]\n"),
        (f"<{base64.b64encode(KEY.encode()).decode()}>", "<[masked]=>"),
        (f"<{base64.b64encode(b'x' + KEY.encode()).decode()}>", "<e[masked]>"),
        (f"<{base64.b64encode(b'xy' + KEY.encode()).decode()}>", "<eH[masked]==>"),
        (f"<{KEY.encode().hex()}>", "<[masked]>"),
        (f"<a{KEY.encode().hex().upper()}>", "<a[masked]>"),
    ],
    ids=[
        "colour", "link", "backwards", "utf-16", "wrapped", "box", "diff",
        "base64", "base64-1", "base64-2", "hex", "hex-odd",
    ],
)  # fmt: skip
def test_an_interrupted_or_encoded_secret_is_masked(shown: str, masked: str) -> None:
    """The mark covers interruptions, resets colours, and leaves the surrounding text."""
    assert Redactor([Masked(KEY)])(shown) == masked


@settings(deadline=None)  # other processes share the cores
@given(st.text(ALPHABET, min_size=WINDOW, max_size=30), st.lists(st.integers(1, 30)))
def test_a_secret_that_comes_in_pieces(secret: str, cuts: list[int]) -> None:
    """At most seven of its characters are shown, however it is cut."""
    stream, redactor = StreamRedactor(), Redactor([Masked(secret)])
    places = sorted({0, len(secret), *(cut for cut in cuts if cut < len(secret))})
    out = "".join(stream(redactor, secret[start:end]) for start, end in itertools.pairwise(places))
    assert "[masked]" in out
    assert not any(secret[i : i + WINDOW] in out for i in range(len(secret) - WINDOW + 1))
    assert stream(redactor, " and more") == " and more"


def test_any_case_ignores_the_case_of_letters() -> None:
    """Also of letters that fold to two; the mark is at the right position."""
    redactor = Redactor([Masked("straße-Q7xV")], any_case=True)
    assert redactor("an STRASSE-q7XV end") == "an [masked] end"
    assert redactor("ßß straße-q7xv") == "ßß [masked]"
    assert not Redactor([Masked("straße-Q7xV")]).finds("STRASSE-q7XV")


def test_long_texts_are_masked_in_blocks() -> None:
    """Secrets at the borders of the blocks that numpy searches, and many secrets at once."""
    secrets = [f"{number:04d}-Zq7xV" for number in range(2000)]
    redactor = Redactor(Masked(secret) for secret in [*secrets, "pw42"])
    for at in ((1 << 20) - 10, (1 << 20) - 3, 1 << 20):
        text = "." * at + secrets[at % 2000] + "." * 500 + "pw42"
        assert redactor(text) == "." * at + "[masked]" + "." * 500 + "[masked]"
