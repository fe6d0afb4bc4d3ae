"""The strategies for users draw secrets of every kind that the scanner finds."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erasetest.demo.synthetic_secrets import GENERATORS
from erasetest.errors import BadInput
from erasetest.samples import SensitiveSample
from erasetest.scanning import Document, find_secrets
from erasetest.strategies import KINDS, like, samples, secrets

# Kinds that the scanner recognizes by the surrounding words, not by their format.
IN_CONTEXT = {
    "aws-secret-access-key": 'aws_secret_key = "{}"',
    "azure-storage-account-access-key": "AccountKey={}",
    "basic-auth": 'URL = "amqp://user:{}@host.internal:5672/"',
    "cloudant-credentials": 'cloudant_key = "{}"',
    "database-password": 'DATABASE_PASSWORD = "{}"',
    "ibm-cloud-iam-key": 'ibm_cloud_iam_key = "{}"',
    "ibm-cos-hmac-credentials": 'cos_hmac_secret_access_key = "{}"',
    "npm-token": "//registry.internal/:_authToken={}",
    "private-key": 'KEY = """{}"""',
    "softlayer-credentials": 'softlayer_key = "{}"',
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_scanner_knows_every_kind(kind: str) -> None:
    """In code, 90 % of the drawn secrets are found, with the exact span and kind.

    The scanner ignores placeholders, and a random string may look like one.
    """
    found = 0
    drawn: list[str] = []

    @settings(max_examples=100, database=None)
    @given(secrets(kind))
    def collect(secret: str) -> None:
        drawn.append(secret)

    collect()
    # Hypothesis starts with the simplest string of the pattern, one repeated character; eight
    # equal characters in a row count as a placeholder.
    distinct = 28 if kind == "high-entropy-base64" else 11
    likely = [
        secret
        for secret in drawn
        if len(set(secret)) >= distinct and re.search(r"(.)\1{7}", secret) is None
    ]
    for secret in likely:
        text = IN_CONTEXT.get(kind, 'value = "{}"').format(secret) + "\n"
        spans = [(text[f.start : f.end], f.kind) for f in find_secrets(Document.of("a.py", text))]
        found += (secret, kind) in spans
    assert len(likely) >= 5
    assert found >= 0.9 * len(likely)


@given(samples())
def test_samples_are_exact(sample: SensitiveSample) -> None:
    """Spans contain secrets of known kinds and do not overlap."""
    ends = 0
    for secret in sample.secrets:
        assert secret.kind in KINDS
        assert secret.start >= ends
        ends = secret.end
        assert sample.content.reveal()[secret.start : secret.end] == secret.text.reveal()
    assert 1 <= len(sample.secrets) <= 3


@given(st.sampled_from(sorted(GENERATORS)), st.integers(0, 10**6), st.data())
def test_like_keeps_the_format(kind: str, seed: int, data: st.DataObject) -> None:
    """Length and character classes."""
    secret = GENERATORS[kind](random.Random(seed))
    decoy = data.draw(like(secret, kind))
    assert len(decoy) == len(secret)
    assert [c.isdigit() for c in decoy] == [c.isdigit() for c in secret] or any(
        c in "abcdef" for c in secret
    )


def test_an_unknown_kind_is_refused() -> None:
    """The message lists the known kinds."""
    with pytest.raises(BadInput, match="'password': expected one of"):
        secrets("password")
