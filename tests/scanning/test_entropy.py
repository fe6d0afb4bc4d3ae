"""Strings that look random."""

from __future__ import annotations

import base64
import random

import pytest
from scan_oracles import findings

from erasetest.scanning.detectors.entropy import DETECTORS

HEX = f"{random.Random(11).getrandbits(160):040x}"
BASE64 = base64.b64encode(random.Random(3).randbytes(36)).decode()


def found(text: str, path: str = "a.py") -> list[tuple[str, str]]:
    found_here = findings(DETECTORS, path, text)
    return [(text[finding.start : finding.end], finding.kind) for finding in found_here]


@pytest.mark.parametrize(
    ("value", "kind"), [(HEX, "high-entropy-hex"), (BASE64, "high-entropy-base64")]
)
@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("a.py", 'größe = "{}"'),
        ("a.js", "const x = ['{}'];"),
        ("a.yaml", "seed: {}"),
        ("a.yaml", "'seed': {}  # x"),
        (".env", "SEED={}"),
    ],
)
def test_the_span_is_the_string_without_quotes(value: str, kind: str, path: str, line: str) -> None:
    assert found(f"# 🦉\r\n{line.format(value)}\r\n", path) == [(value, kind)]


def test_a_key_in_quotes_before_an_unquoted_value_keeps_its_place() -> None:
    assert found(f"'{HEX}': x7\n", "a.yaml") == [(HEX, "high-entropy-hex")]


def test_two_on_a_line_are_two() -> None:
    assert found(f"pair = '{HEX}', '{HEX[::-1]}'") == [
        (HEX, "high-entropy-hex"),
        (HEX[::-1], "high-entropy-hex"),
    ]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("a.py", f'sha1 = "{HEX}"'),
        ("a.py", f'commit: "{HEX}"'),
        ("a.py", f'user_id = "{HEX}"'),
        ("a.py", 'x = "f3a1c2d4-1111-2222-3333-444455556666"'),
        ("a.py", 'x = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"'),
        ("a.py", 'x = "some/long/Path/of/ManyNamesInCamelCase"'),
        ("a.py", 'x = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1"'),
        ("a.py", 'x = "#ffcc00"'),
        ("a.py", f"x = {HEX}"),
        ("a.py", f'x = hashed("{HEX}")'),
        ("yarn.lock", f'"{HEX}"'),
        ("swagger/ui.js", f'"{HEX}"'),
    ],
)
def test_what_is_most_likely_something_else_is_not_found(path: str, line: str) -> None:
    assert found(line, path) == []
