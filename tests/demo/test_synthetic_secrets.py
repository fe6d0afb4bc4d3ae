"""Planted secrets have the format of their issuer, and are never valid."""

from __future__ import annotations

import base64
import functools
import ipaddress
import json
import random
import re
import string
import zlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from planted_files import SEEDS

from erasetest.demo.synthetic_secrets import GENERATORS, github_token

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase


@given(SEEDS)
def test_aws_keys_are_not_base_32(seed: int) -> None:
    """The format of a key id, with a character that AWS never uses."""
    key = GENERATORS["aws-access-key"](random.Random(seed))
    assert re.fullmatch(r"AKIA[A-Z0-9]{16}", key)
    assert set(key[4:]) - set(string.ascii_uppercase + "234567")


def _github_accepts(token: str) -> bool:
    """Return whether the last six characters are the CRC-32, in base 62, of the thirty before."""
    number = functools.reduce(lambda n, c: 62 * n + BASE62.index(c), token[-6:], 0)
    return number == zlib.crc32(token[4:-6].encode())


@given(SEEDS)
def test_github_tokens_have_a_wrong_checksum(seed: int) -> None:
    """The format of a token, with a checksum that GitHub would reject."""
    token = GENERATORS["github-token"](random.Random(seed))
    assert re.fullmatch(r"ghp_[A-Za-z0-9]{36}", token)
    assert not _github_accepts(token)


class _Scripted(random.Random):
    """Random numbers that start with given draws."""

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
    """The format of a bot token, with impossible numbers of workspace and bot."""
    token = GENERATORS["slack-token"](random.Random(seed))
    assert re.fullmatch(r"xoxb-0\d{10}-0\d{10}-[A-Za-z0-9]{24}", token)


@given(SEEDS)
def test_emails_are_outside_the_public_name_system(seed: int) -> None:
    """An address at a host of the top-level domain reserved for private use."""
    address = GENERATORS["email"](random.Random(seed))
    assert re.fullmatch(r"[a-z]+\.[a-z]+@[a-z]+\.internal", address)


@given(SEEDS)
def test_ip_addresses_look_public_and_are_unallocated(seed: int) -> None:
    """An address of global unicast space that is allocated to no registry."""
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
    """The format of a PEM block whose first byte is not that of a DER sequence."""
    begin, *lines, end = GENERATORS["private-key"](random.Random(seed)).split("\n")
    assert (begin, end) == ("-----BEGIN EC PRIVATE KEY-----", "-----END EC PRIVATE KEY-----")
    assert [len(line) for line in lines] == [64, 64]
    assert base64.b64decode("".join(lines), validate=True)[0] != 0x30


@given(SEEDS)
def test_jwts_can_be_read_and_are_signed_by_nobody(seed: int) -> None:
    """Header and payload can be decoded; the signature has the length of its algorithm."""
    header, payload, signature = GENERATORS["jwt"](random.Random(seed)).split(".")
    assert json.loads(_url_decoded(header)) == {"alg": "HS384"}
    assert set(json.loads(_url_decoded(payload))) == {"sub"}
    assert len(_url_decoded(signature)) == 48


def _url_decoded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
