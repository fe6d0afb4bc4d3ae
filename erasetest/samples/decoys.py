"""Decoys: fresh random strings of a secret's own format.

They stand for secrets that the CLM has never seen: thresholds are calibrated on them. Digits become
digits, capitals capitals, small letters small letters; separators stay, and so do the fixed parts
of known formats, which say nothing about the one secret at hand.
"""

from __future__ import annotations

import random
import re
import string
import unicodedata

from erasetest.samples.sample import SensitiveSample, make_sample

_FIXED = re.compile(
    r"-----(?:BEGIN|END)[A-Z ]*-----"
    r"|\b(?:AKIA|ASIA|ABIA|ACCA)(?=[A-Z0-9])"
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|npm_|pypi-|hf_|dop_v1_|shpat_|SG\.)"
    r"|\bsk-(?:ant-|proj-)?|\b[sr]k_(?:live|test)_|\bxox[a-z]-|\bxapp-"
    r"|\bAIza|\bya29\.|\beyJ[A-Za-z0-9_-]*(?=\.eyJ)|\beyJ[A-Za-z0-9_]{0,9}"
    r"|\b[a-z][a-z0-9+.]*://|\.[A-Za-z]{2,}$"
)
_VOWELS = "aeiou"
_CONSONANTS = "bcdfghjklmnpqrstvwxyz"
_HEX = re.compile(r"(?=.*[a-f])[0-9a-f:\-]{8,}|(?=.*[A-F])[0-9A-F:\-]{8,}")


def decoy(text: str, kind: str, rng: random.Random) -> str:
    """A random string of the format of `text`, drawn wherever the format leaves a choice.

    The result has the same length. Words (the letters of an e-mail address) stay pronounceable: a
    decoy that no one would write is easier to tell from a secret than a never-seen secret is.
    """
    words = kind == "email"
    hexadecimal = ""
    if _HEX.fullmatch(text):
        hexadecimal = "0123456789ABCDEF" if text == text.upper() else "0123456789abcdef"
    fixed = bytearray(len(text))
    for match in _FIXED.finditer(text):
        fixed[match.start() : match.end()] = b"\1" * len(match.group())
    return "".join(
        character if keep else _like(character, rng, words, hexadecimal)
        for character, keep in zip(text, fixed, strict=True)
    )


def with_decoys(
    sample: SensitiveSample, name: str, rng: random.Random, *, repeated: bool = False
) -> SensitiveSample:
    """The sample with decoys for its secrets; one whose format leaves no choice stays, unmarked.

    With `repeated`, a secret that stands there twice has one decoy, which can be copied as the
    secret could; never-seen secrets, of which each is a reference, must not be.
    """
    text = sample.content.reveal()
    drawn: dict[str, str] = {}
    for secret in sample.secrets:
        there = text[secret.start : secret.end]
        if there not in drawn or not repeated:
            drawn[there] = decoy(there, secret.kind, rng)
        text = text[: secret.start] + drawn[there] + text[secret.end :]
    spans = [
        (secret.start, secret.end, secret.kind)
        for secret in sample.secrets
        if text[secret.start : secret.end] != secret.text.reveal()
    ]
    return make_sample(text, spans, id=name)


def _like(character: str, rng: random.Random, words: bool, hexadecimal: str) -> str:
    if character in hexadecimal:
        return rng.choice(hexadecimal)
    if character in string.digits:
        return rng.choice(string.digits)
    if words and character.lower() in _VOWELS + _CONSONANTS:
        family = _VOWELS if character.lower() in _VOWELS else _CONSONANTS
        drawn = rng.choice(family)
        return drawn.upper() if character.isupper() else drawn
    if character in string.ascii_lowercase:
        return rng.choice(string.ascii_lowercase)
    if character in string.ascii_uppercase:
        return rng.choice(string.ascii_uppercase)
    if not character.isascii() and character.isalnum():
        return rng.choice(_neighbours(character))
    return character


def _neighbours(character: str) -> list[str]:
    """Characters of the same Unicode category among the same 32 code points, itself too."""
    begin = ord(character) & ~31
    category = unicodedata.category(character)
    return [c for c in map(chr, range(begin, begin + 32)) if unicodedata.category(c) == category]
