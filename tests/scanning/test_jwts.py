"""JSON Web Tokens with their signatures."""

from __future__ import annotations

import random

import pytest
from scan_oracles import findings

from erasetest.demo.synthetic_secrets import jwt
from erasetest.scanning.detectors.jwts import DETECTORS

TOKEN = jwt(random.Random(3))


def found(text: str) -> list[str]:
    return [text[finding.start : finding.end] for finding in findings(DETECTORS, "a.py", text)]


def test_the_signature_belongs_to_the_span() -> None:
    assert found(f'headers = {{"Authorization": "Bearer {TOKEN}"}}') == [TOKEN]


def test_the_full_stop_of_a_sentence_does_not() -> None:
    assert found(f"# the token is {TOKEN}.") == [TOKEN]


def test_two_on_a_line_are_two() -> None:
    other = jwt(random.Random(4))
    assert found(f"{TOKEN} {other}") == [TOKEN, other]


@pytest.mark.parametrize(
    "text", ["eyJhbGciOi.notjson.signature", "eyJ.eyJ.eyJ", TOKEN.split(".")[0], "eyJhbGciOi"]
)
def test_what_contains_no_json_is_not_a_token(text: str) -> None:
    assert found(f'x = "{text}"') == []
