"""Texts that anybody tries first are known, and random ones are not among them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erasetest.demo.synthetic_secrets import GENERATORS
from erasetest.samples.well_known import is_default, is_sequence, is_well_known

KNOWN = (
    "Postgres", "Admin@123", "P@ssw0rd!", "s3cr3t", "changeme!", "CHANGEME_12345", "1q2w3e4r",
    "root2019!", "admin1234", "ubuntu", "vagrant", "raspberry", "secretkey",
    "abcdef1234567890", "0123456789abcdef", "fedcba", "aaaa", "4321", "12341234",
    "00000000-0000-0000-0000-000000000001", "ffffffffffffffff",
    "git@github.com", "alice@example.com", "noreply@users.noreply.github.com",
    "127.0.0.1", "192.168.1.1", "8.8.8.8", "::1", "FE80::1",
)  # fmt: skip
UNKNOWN = (
    "postgres-7Hq2", "postgres8371", "admin1234983715", "root12340918273645", "admin73946",
    "pass$#%@!&^(*)!~$#@+={}", "admin@7391xKq", "7391", "73", "5543", "hunterkiller",
    "Tr0ub4dor&3", "Sommer2019Berlin", "kafka-weaver", "83.17.4.9", "192.168.44.17",
    "maria.kowalska@gmail.com", "admin@kowalska.internal", "git@kowalska.internal", "", "@", "-",
)  # fmt: skip


@pytest.mark.parametrize("text", KNOWN)
def test_first_guesses_are_known(text: str) -> None:
    """In any case, with signs for letters, and with short endings."""
    assert is_well_known(text)


@pytest.mark.parametrize("text", UNKNOWN)
def test_others_are_not(text: str) -> None:
    """A default inside a longer text, random digits behind it, and a person at a public domain."""
    assert not is_well_known(text)


@given(st.sampled_from(sorted(GENERATORS)), st.integers(0, 10**6))
def test_no_random_secret_is_known(kind: str, seed: int) -> None:
    """Of any kind."""
    assert not is_well_known(GENERATORS[kind](random.Random(seed)))


def test_random_digits_are_rarely_a_sequence() -> None:
    """Of four, fewer than one in two hundred; of sixteen hexadecimal ones none."""
    rng = random.Random(1)
    four = ["".join(rng.choices("0123456789", k=4)) for _ in range(10_000)]
    assert sum(map(is_sequence, four)) < 50
    assert not any(is_sequence(f"{rng.getrandbits(64):016x}") for _ in range(10_000))


def test_defaults_alone_are_those_of_the_list() -> None:
    """Scanning leaves out no more."""
    assert is_default("Postgres")
    assert not is_default("Postgres1!")
    assert not is_default("p0stgr3s")
