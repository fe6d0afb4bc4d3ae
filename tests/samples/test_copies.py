"""Copies of a secret in the text before it are found in any form, and can be replaced."""

from __future__ import annotations

import base64
import json
import random
import urllib.parse
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erasetest.demo.synthetic_secrets import GENERATORS
from erasetest.samples.copies import Copies, CopySearch, without_copies

SECRET = "Vq9sLm2Kx7Td"
CODE = "import os\n\n\ndef connect(host, port=5432):\n    return Client(host, port)\n\n\n"

FORMS = {
    "as it is": SECRET,
    "quoted": f"password = '{SECRET}'",
    "in another case": SECRET.upper(),
    "percent-encoded": "".join(f"%{ord(c):02x}" if n % 3 else c for n, c in enumerate(SECRET)),
    "escaped": "".join(f"\\u{ord(c):04x}" if n % 4 else c for n, c in enumerate(SECRET)),
    "in base64": base64.b64encode(f"user:{SECRET}".encode()).decode(),
    "in base64 for URLs": base64.urlsafe_b64encode(f"ÿ?>{SECRET}".encode()).decode().rstrip("="),
    "in base64 behind a name": f"user/{base64.b64encode(SECRET.encode()).decode()}",
    "in base64 of bytes": base64.b64encode(b"\xff\xfe" + SECRET.encode() + b"\x80").decode(),
    "in base64 twice": base64.b64encode(base64.b64encode(SECRET.encode())).decode(),
    "in hexadecimal": SECRET.encode().hex(),
    "in three literals": f'b"{SECRET[:4]}" b"{SECRET[4:8]}" b"{SECRET[8:]}"',
    "in three lines": f'f"{SECRET[:4]}" + \\\n  f"{SECRET[4:8]}" + \\\n  f"{SECRET[8:]}"',
    "over two lines": f'"{SECRET[:6]}"\n    "{SECRET[6:]}"',
    "in groups": "-".join((SECRET[:4], SECRET[4:8], SECRET[8:])),
    "its first half": SECRET[:6] + "…",
    "its last two thirds": "…" + SECRET[4:],
    "wide": "".join(chr(ord(c) + 0xFEE0) for c in SECRET),
}


def _find(before: str, secret: str = SECRET, visible: int = 0) -> Copies:
    text = before + secret
    return CopySearch(text).find(len(before), len(text), "password", visible)


def _replaced(*arguments: Any) -> str:
    """Return the text without copies, which can be replaced."""
    clean = without_copies(*arguments)
    assert clean is not None
    return clean


def _other(secret: str) -> str:
    """Return a text of the same length that has nothing in common with a secret."""
    others = random.Random(len(secret)).choices("mnopqrstuvw", k=len(secret))
    return "".join(o if c.isalnum() else c for c, o in zip(secret, others, strict=True))


@pytest.mark.parametrize("form", FORMS)
def test_a_copy_is_found_in_any_form(form: str) -> None:
    """Its range contains it, and little more."""
    before = f"{CODE}# {FORMS[form]}\n\nTOKEN = '"
    found = _find(before)
    (span,) = found.spans
    assert 0.5 <= found.cue <= 1
    assert found.cue == 1 or form.startswith("its")
    copied = before[slice(*span)]
    assert copied in FORMS[form]
    assert len(copied) <= len(FORMS[form]) + 1


def test_a_text_without_a_copy_has_none() -> None:
    """A common beginning, the format and parts that are shorter than half do not count."""
    for before in ("", CODE, CODE + SECRET[:5] + " " + SECRET[7:], "ghp_ AKIA -----BEGIN"):
        assert _find(before).spans == ()
    assert _find(f"{CODE}{SECRET[:3]}").cue == pytest.approx(3 / len(SECRET))
    key, other = "AKIAQ7RZ0XJ2M9TB4WKE", "AKIAB81LVT0Y3NDH5SPC"
    assert _find(f"{CODE}KEY = '{other}'\nKEY = '", key).spans == ()


def test_what_the_clm_does_not_read_is_no_copy() -> None:
    """Beyond the window."""
    before = f"{SECRET}\n{CODE}"
    assert len(_find(before, visible=0).spans) == 1
    beyond = _find(before, visible=len(SECRET))
    assert beyond.spans == ()
    assert beyond.cue < 0.3


def test_short_secrets_are_whole_words() -> None:
    """A password of four letters is not copied from the middle of a name."""
    assert _find("latest = testing(contest)\npassword = '", "test").spans == ()
    assert _find("latest = test(contest)\npassword = '", "test").spans == ((9, 13),)
    assert _find("a = 8080\nb = ", "8080").cue == 1
    assert _find("a = Test-1, b = 'TEST%2D1', c = latest-1, d = test1\npw = ", "test-1").spans == (
        (4, 10),
        (17, 25),
    )
    # The network of an address counts where the rest of it is short.
    assert _find("a = 192.168.4.17\nb = ", "192.168.4.17").spans == ((4, 16),)
    assert _find("a = 192.168.4.171\nb = ", "192.168.4.17").spans == ()


def test_what_an_encoded_secret_says_is_a_copy() -> None:
    """Of credentials in base64 that the text before them states."""
    secret = base64.b64encode(b"admin:hunter2-extra").decode()
    before = "curl -u admin:hunter2-extra\nAuthorization: Basic "
    assert len(_find(before, secret).spans) == 1
    assert len(_find("url = p%40ss-w%6frd-9x\npw = '", "p@ss-word-9x").spans) == 1
    assert len(_find("pw = 'p@ss-word-9x'\nurl = ", "p%40ss-w%6frd-9x").spans) == 1


@pytest.mark.parametrize("form", FORMS)
def test_copies_are_replaced_by_a_decoy(form: str) -> None:
    """In place: nothing else changes, and all copies of one form are the same decoy."""
    before = f"{CODE}# {FORMS[form]}\nx = '{FORMS[form]}'\nTOKEN = '"
    text = f"{before}{SECRET}'\n"
    start = len(before)
    other = _other(SECRET)
    clean = _replaced(text, start, start + len(SECRET), "password", other)
    assert len(clean) == len(text)
    assert clean[start:] == text[start:]
    assert clean.startswith(CODE)
    found = CopySearch(clean).find(start, start + len(SECRET))
    assert found.spans == ()
    changed = [n for n, (a, b) in enumerate(zip(clean, text, strict=True)) if a != b]
    assert len(changed) >= len(SECRET) / 2
    # Where the secret stood, the other text stands now, encoded like the secret was.
    if not form.startswith("its") and form != "in base64 twice":
        again = clean[:start] + other + clean[start + len(SECRET) :]
        of_other = CopySearch(again).find(start, start + len(SECRET))
        assert len(of_other.spans) == 2
        assert of_other.cue == 1


def test_each_copy_keeps_its_case() -> None:
    """And a name beside an address becomes the name that the other address is made of."""
    text = 'A = "ab12CD34ef"\nB = "AB12CD34EF"\nC = "ab12CD34ef"\n'
    start = text.rindex("ab12")
    clean = _replaced(text, start, start + 10, "password", "mn56OP78qr")
    assert clean.split('"')[1::2] == ["mn56OP78qr", "MN56OP78QR", "ab12CD34ef"]
    text = 'author = "Alma Brandvold <alma.brandvold@hosts.internal>"\n'
    start = text.index("alma.")
    end = text.index(">")
    clean = _replaced(text, start, end, "email", "ivan.macdonald@other.internal")
    assert clean == text.replace("Alma Brandvold", "Ivan Macdonald")
    text = "kwxyzb = 1\npw = kwxyzb@9sLm2Kx7TdQ3"
    start = text.rindex("kwxyzb")
    assert CopySearch(text).find(start, len(text), "email").spans == ((0, 6),)
    assert CopySearch(text).find(start, len(text), "password").spans == ()


def test_what_the_other_text_has_in_common_is_replaced_too() -> None:
    """A part of the secret that is written again is no better than the copy."""
    text = f"a = '{SECRET}'\nb = '{SECRET}'\n"
    start = text.rindex(SECRET)
    clean = _replaced(text, start, start + len(SECRET), "password", SECRET[:7] + "mnopq")
    assert CopySearch(clean).find(start, start + len(SECRET)).spans == ()
    assert clean[start:] == text[start:]


def test_copies_before_the_beginning_stay() -> None:
    """They are too far away to be read."""
    text = f"a = '{SECRET}'\nb = '{SECRET}'\nc = '{SECRET}'\nd = '{SECRET}'\n"
    start, other = text.index(SECRET, text.index("c =")), _other(SECRET)
    span = start, start + len(SECRET)
    clean = _replaced(text, *span, "password", other, text.index("b ="))
    assert clean.split("'")[1::2] == [SECRET, other, SECRET, SECRET]
    assert _replaced(text, *span, "password", other).split("'")[1::2] == [
        other,
        other,
        SECRET,
        SECRET,
    ]


def test_what_cannot_be_replaced_is_said() -> None:
    """A secret of fixed characters alone has no other text in its place."""
    text = "a = 'eyJhbGciOiJI'\nb = 'eyJhbGciOiJI'\n"
    start = text.rindex("eyJ")
    assert without_copies(text, start, start + 12, "jwt", "eyJhbGciOiJI") is None


@pytest.mark.parametrize("secret", ["\ud800Vq9sLm2Kx", "\U0001d7d8\U0001d7d9Vq9sLm", "ﬁﬂVq9sLm2"])
def test_odd_characters_are_replaced(secret: str) -> None:
    """A lone surrogate, digits and letters of other blocks, and one that is two letters."""
    text = f"a = '{secret}'\nb = '{secret}'\n"
    start = text.rindex(secret)
    clean = _replaced(text, start, start + len(secret), "password", _other(secret))
    assert len(clean) == len(text)
    assert CopySearch(clean).find(start, start + len(secret)).spans == ()


def test_nothing_but_copies_is_replaced() -> None:
    """A short secret stays where it is a part of a word."""
    text = "concatenate(cat, 'cat', category)\npassword = 'cat'\n"
    start = text.rindex("cat")
    clean = _replaced(text, start, start + 3, "password", "dog")
    assert clean == "concatenate(dog, 'dog', category)\npassword = 'cat'\n"


@given(
    kind=st.sampled_from(sorted(GENERATORS)),
    seed=st.integers(0, 10**6),
    form=st.sampled_from(["plain", "json", "base64", "quote", "upper"]),
    code=st.text(alphabet="abc def\n=('\"%\\x1b[]", max_size=60),
)
def test_no_copy_of_any_secret_is_left(kind: str, seed: int, form: str, code: str) -> None:
    """Whatever its kind, its encoding and the code around it."""
    secret = GENERATORS[kind](random.Random(seed))
    copy = {
        "plain": secret,
        "json": json.dumps({"key": secret}),
        "base64": base64.b64encode(secret.encode()).decode(),
        "quote": urllib.parse.quote(secret, safe=""),
        "upper": secret.upper(),
    }[form]
    before = f"{code}\n{copy}\n{code}'"
    text = f"{before}{secret}{code}"
    found = CopySearch(text).find(len(before), len(before) + len(secret))
    assert found.spans
    assert found.cue > 0.9
    span = len(before), len(before) + len(secret)
    clean = _replaced(text, *span, kind, _other(secret))
    assert len(clean) == len(text)
    assert clean[len(before) :] == text[len(before) :]
    left = CopySearch(clean).find(len(before), len(before) + len(secret))
    assert left.spans == ()


@given(st.text(max_size=80), st.text(min_size=1, max_size=20), st.text(max_size=20))
def test_any_text_can_be_searched(before: str, secret: str, after: str) -> None:
    """Ranges are in order and before the secret."""
    text = before + secret + after
    found = CopySearch(text).find(len(before), len(before) + len(secret))
    assert 0 <= found.cue <= 1
    ends = [place for span in found.spans for place in span]
    assert ends == sorted(ends)
    assert all(0 <= place <= len(before) for place in ends)


_LETTERS = st.text(alphabet="abAB1 -'=", max_size=30)


@given(_LETTERS, st.text(alphabet="abAB1", min_size=6, max_size=6), _LETTERS)
def test_the_cue_is_the_longest_common_part(before: str, begin: str, rest: str) -> None:
    """By definition, over all parts."""
    secret = begin + rest
    letters = "".join(c.lower() for c in secret if c.isalnum())
    size = len(letters)
    prompt = "".join(c.lower() for c in before if c.isalnum())
    parts = {letters[i:j] for i in range(size) for j in range(i + 1, size + 1)}
    longest = max((len(part) for part in parts if part in prompt), default=0)
    found = _find(before, secret)
    assert found.cue == longest / size
    assert bool(found.spans) == (longest >= max(6, size / 2))
