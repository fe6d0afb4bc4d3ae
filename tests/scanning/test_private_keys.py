"""Whole blocks of private keys."""

from __future__ import annotations

import random

import pytest
from scan_oracles import findings

from erasetest.demo.synthetic_secrets import private_key
from erasetest.scanning.detectors.private_keys import DETECTORS

KEY = private_key(random.Random(7))
DASHES = "-" * 5
LABEL = "PRIVATE" + " KEY"
BEGIN = f"{DASHES}BEGIN RSA {LABEL}{DASHES}"
END = f"{DASHES}END RSA {LABEL}{DASHES}"
MATERIAL = KEY.splitlines()[1]


def found(text: str) -> list[str]:
    found_here = findings(DETECTORS, "a.py", text)
    assert all(finding.kind == "private-key" for finding in found_here)
    return [text[finding.start : finding.end] for finding in found_here]


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\\n", '\\n"\n    "'])
def test_the_span_is_the_block_however_its_lines_are_broken(line_break: str) -> None:
    block = line_break.join(KEY.splitlines())
    assert found(f'café = "{block}"\nrest = 1\n') == [block]


def test_two_keys_in_a_file_are_two() -> None:
    other = private_key(random.Random(8))
    assert found(f"{KEY}\n{other}\n{KEY}\n") == [KEY, other, KEY]


@pytest.mark.parametrize("label", [LABEL, f"ENCRYPTED {LABEL}", f"OPENSSH {LABEL}", f"DSA {LABEL}"])
def test_every_label_counts(label: str) -> None:
    block = f"{DASHES}BEGIN {label}{DASHES}\n{MATERIAL}\n{DASHES}END {label}{DASHES}"
    assert found(block) == [block]


def test_pgp_and_ssh2_blocks_count_with_their_headers() -> None:
    pgp = (
        f"{DASHES}BEGIN PGP {LABEL} BLOCK{DASHES}\nVersion: 2\n\n{MATERIAL}\n"
        f"{DASHES}END PGP {LABEL} BLOCK{DASHES}"
    )
    ssh2 = (
        f"---- BEGIN SSH2 ENCRYPTED {LABEL} ----\nComment: x\n{MATERIAL}\n"
        f"---- END SSH2 ENCRYPTED {LABEL} ----"
    )
    assert found(f"{pgp}\n{ssh2}\n") == [pgp, ssh2]


def test_a_putty_file_ends_with_its_mac() -> None:
    putty = "PuTTY-User-" + f"Key-File-2: ssh-rsa\nPrivate-Lines: 1\n{MATERIAL}\nPrivate-MAC: a0b1"
    assert found(putty + "\nrest\n") == [putty]


def test_a_block_without_end_extends_to_the_end_of_its_material() -> None:
    cut = f"{BEGIN}\n{MATERIAL}\n{MATERIAL}"
    assert found(f'key = """{cut}\n"""\nrest = 1\n') == [cut]


def test_the_end_of_another_key_does_not_end_a_key() -> None:
    cut = f"{BEGIN}\n{MATERIAL}"
    other = f"{DASHES}END EC {LABEL}{DASHES}"
    assert found(f"{cut}\n{other}\n") == [cut]


@pytest.mark.parametrize(
    "text",
    [
        f'if text.startswith("{BEGIN}") and text.strip().endswith("{END}"):\n    pass\n',
        f"{BEGIN}\n...\n{END}\n",
        f'HEADER = "{BEGIN}"\n\n\ndef load(path):\n    return path.read_text()\n',
        f"{DASHES}BEGIN PUBLIC KEY{DASHES}\n{MATERIAL}\n{DASHES}END PUBLIC KEY{DASHES}\n",
    ],
    ids=["both markers in code", "placeholder", "header alone", "public key"],
)
def test_a_header_without_key_material_is_no_key(text: str) -> None:
    assert found(text) == []
