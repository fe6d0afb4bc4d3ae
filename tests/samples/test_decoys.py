"""Decoys: random strings in the format of a secret."""

from __future__ import annotations

import ipaddress
import random
import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erasetest.demo.synthetic_secrets import GENERATORS
from erasetest.samples.decoys import decoy


def _class(character: str) -> str:
    for name in ("digits", "ascii_lowercase", "ascii_uppercase"):
        if character in getattr(string, name):
            return name
    return unicodedata.category(character) if character.isalnum() else character


@given(st.text(min_size=1, max_size=60), st.sampled_from(["password", "email"]), st.integers())
def test_a_decoy_has_its_secrets_format(text: str, kind: str, seed: int) -> None:
    """Length, separators and the class of each character stay, except in long hex numbers."""
    made = decoy(text, kind, random.Random(seed))
    assert len(made) == len(text)
    if len(text) >= 8 and not set(text) - set(string.hexdigits + "-:"):
        return
    assert [_class(character) for character in made] == [_class(character) for character in text]


@given(st.text("0123456789", min_size=8, max_size=30), st.integers())
def test_digits_become_digits(text: str, seed: int) -> None:
    """A long decimal number is not treated as hexadecimal."""
    assert decoy(text, "token", random.Random(seed)).isdecimal()


@given(st.text("0123456789ABCDEF", min_size=8, max_size=30), st.integers())
def test_hexadecimal_keeps_its_case(text: str, seed: int) -> None:
    """All upper case or all lower case."""
    rng = random.Random(seed)
    assert not set(decoy(text, "token", rng)) - set("0123456789ABCDEF")
    assert not set(decoy(text.lower(), "token", rng)) - set("0123456789abcdef")


@pytest.mark.parametrize("kind", GENERATORS)
def test_decoys_of_known_kinds_differ_from_their_secrets_and_each_other(kind: str) -> None:
    """Most characters of a secret are redrawn each time."""
    rng = random.Random(1)
    secret = GENERATORS[kind](rng)
    made = [decoy(secret, kind, rng) for _ in range(20)]
    assert len({secret, *made}) == 21
    drawn = [i for i, column in enumerate(zip(*made, strict=True)) if len(set(column)) > 1]
    assert len(drawn) >= 10
    for one in made:
        same = sum(one[i] == secret[i] for i in drawn)
        assert same < len(drawn) / 2


@pytest.mark.parametrize(
    ("text", "fixed"),
    [
        ("AKIAQ7RZ0XJ2M9TB4WKE", "AKIA"),
        ("ghp_x81Lq0ZtYvB3ndx81Lq0ZtYvB3nd123456", "ghp_"),
        ("github_pat_11ABCDEFG0x81Lq0ZtYvB3", "github_pat_"),
        ("sk-ant-api03-x81Lq0ZtYvB3nd", "sk-ant-"),
        ("sk_live_x81Lq0ZtYvB3nd", "sk_live_"),
        ("xoxb-0382716-Qhw7Zp", "xoxb-"),
        ("AIzaSyx81Lq0ZtYvB3nd", "AIza"),
        ("postgres://x81Lq0ZtYvB3nd", "postgres://"),
    ],
)
def test_fixed_parts_of_known_formats_stay(text: str, fixed: str) -> None:
    """They carry no information about the individual secret."""
    made = decoy(text, "token", random.Random(0))
    assert made.startswith(fixed)
    assert made[len(fixed) :] != text[len(fixed) :]


def test_the_frame_of_a_private_key_stays() -> None:
    """BEGIN and END lines are part of the format; line breaks stay."""
    secret = GENERATORS["private-key"](random.Random(2))
    made = decoy(secret, "private-key", random.Random(0))
    lines, wanted = made.split("\n"), secret.split("\n")
    assert (lines[0], lines[-1]) == (wanted[0], wanted[-1])
    assert [len(line) for line in lines] == [len(line) for line in wanted]
    assert not set(lines[1:-1]) & set(wanted[1:-1])


def test_an_email_stays_pronounceable_and_keeps_its_top_level_domain() -> None:
    """Vowels become vowels, in either case."""
    made = decoy("Rova.Timelo@basi.internal", "email", random.Random(0))
    vowels = [character.lower() in "aeiou" for character in made]
    assert vowels == [c.lower() in "aeiou" for c in "Rova.Timelo@basi.internal"]
    assert made.endswith(".internal")
    assert made[0].isupper()
    assert made[5].isupper()


@given(st.ip_addresses(v=4), st.sampled_from(["{}", "http://{}:8080/x", "host={}"]), st.integers())
def test_an_ipv4_address_becomes_another_of_its_network(
    address: ipaddress.IPv4Address, around: str, seed: int
) -> None:
    """With as many digits in each number; nobody else has the addresses of a private network."""
    text = around.format(address)
    made = decoy(text, "ip-address", random.Random(seed))
    assert len(made) == len(text)
    begin = around.index("{}")
    made_address = ipaddress.IPv4Address(made[begin : begin + len(str(address))])
    assert [len(part) for part in str(made_address).split(".")] == [
        len(part) for part in str(address).split(".")
    ]
    networks = ("10.0.0.0/8", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "203.0.113.0/24")
    for network in map(ipaddress.ip_network, networks):
        assert made_address in network or address not in network


@pytest.mark.parametrize("text", ["1.2.3.4.5", "1.2.3", "256.1.1.1", "v1.2.3.4", "01.2.3.4"])
def test_other_numbers_with_dots_are_digits(text: str) -> None:
    """In versions and in what only looks like an address, each digit is drawn from all ten."""
    seen = {decoy(text, "password", random.Random(seed)) for seed in range(200)}
    assert {one[-1] for one in seen} == set(string.digits)
    assert any(one[0] != text[0] for one in seen) or text[0] == "v"


def test_a_public_domain_stays() -> None:
    """It tells nothing about the person; a company's own does."""
    for text, kept in (("maria.k@gmail.com", "@gmail.com"), ("git@github.com", "@github.com")):
        assert decoy(text, "email", random.Random(1)).endswith(kept)
    other = decoy("maria.k@kowalska.com", "email", random.Random(1))
    assert other.endswith(".com")
    assert not other.endswith("@kowalska.com")


def test_letters_of_other_scripts_are_redrawn_too() -> None:
    """A password in Cyrillic has decoys in Cyrillic: unchanged it would be the secret itself."""
    made = decoy("пароль密码ÄÖ", "password", random.Random(0))
    assert made != "пароль密码ÄÖ"
    assert all("CYRILLIC SMALL" in unicodedata.name(character) for character in made[:6])
    assert sum(a != b for a, b in zip(made, "пароль密码ÄÖ", strict=True)) >= 6


def test_what_leaves_no_choice_is_its_own_decoy() -> None:
    """Separators and symbols only; calibration does not use it as a reference."""
    for text in ("", "---", "→→", "://"):
        assert decoy(text, "password", random.Random(0)) == text


def test_decoys_come_from_the_generator_given() -> None:
    """The same generator gives the same decoy; the global one is not used."""
    before = random.getstate()
    made = decoy("x81Lq0Zt", "token", random.Random(5))
    assert made == decoy("x81Lq0Zt", "token", random.Random(5))
    assert made != decoy("x81Lq0Zt", "token", random.Random(6))
    assert random.getstate() == before
