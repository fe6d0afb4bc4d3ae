"""Decoys: random strings in the format of a secret.

They represent secrets that the CLM has never seen; thresholds are calibrated on them. Digits become
digits, upper-case letters upper-case, lower-case letters lower-case. Separators stay, and so do the
fixed parts of known formats, which carry no information about the individual secret: the prefix of
a token, the network of a private IPv4 address, the domain of a public mail provider.
"""

from __future__ import annotations

import random
import re
import string
import unicodedata

from erasetest.samples.sample import SensitiveSample, make_sample
from erasetest.samples.well_known import is_public_domain

_FIXED_PARTS = re.compile(
    r"-----(?:BEGIN|END)[A-Z ]*-----"
    r"|\b(?:AKIA|ASIA|ABIA|ACCA)(?=[A-Z0-9])"
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|npm_|pypi-|hf_|dop_v1_|shpat_|SG\.)"
    r"|\bsk-(?:ant-|proj-)?|\b[sr]k_(?:live|test)_|\bxox[a-z]-|\bxapp-"
    r"|\bAIza|\bya29\.|\beyJ[A-Za-z0-9_-]*(?=\.eyJ)|\beyJ[A-Za-z0-9_]{0,9}"
    r"|\b[a-z][a-z0-9+.]*://|\.[A-Za-z]{2,}$"
)
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = re.compile(rf"(?<![\w.]){_OCTET}(?:\.{_OCTET}){{3}}(?![\w.])")
_RESERVED = re.compile(
    r"(?:0|10|127)\.|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\."
    r"|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|169\.254\."
    r"|192\.0\.[02]\.|198\.1[89]\.|198\.51\.100\.|203\.0\.113\."
)
"""Beginnings of IPv4 addresses that belong to nobody (RFC 6890)."""
_OCTETS = {1: (0, 10), 2: (10, 100), 3: (100, 256)}
"""Numbers of an IPv4 address by their number of digits: the first, and one above the last."""

_VOWELS = "aeiou"
_CONSONANTS = "bcdfghjklmnpqrstvwxyz"
_HEX = re.compile(r"(?=.*[a-f])[0-9a-f:\-]{8,}|(?=.*[A-F])[0-9A-F:\-]{8,}")


def decoy(text: str, kind: str, rng: random.Random) -> str:
    """Return a random string of the same length in the format of `text`.

    The letters of e-mail addresses stay pronounceable: an unpronounceable decoy would be less
    likely under the CLM than a real address that it has never seen.
    """
    pronounceable = kind == "email"
    hexadecimal = ""
    if _HEX.fullmatch(text):
        hexadecimal = "0123456789ABCDEF" if text == text.upper() else "0123456789abcdef"
    fixed = fixed_characters(text)
    drawn = [
        character if keep else _redraw(character, rng, pronounceable, hexadecimal)
        for character, keep in zip(text, fixed, strict=True)
    ]
    for address in _IPV4.finditer(text):
        for octet in re.finditer(r"\d+", address.group()):
            first, end = (address.start() + place for place in octet.span())
            if not fixed[first]:
                drawn[first:end] = str(rng.randrange(*_OCTETS[end - first]))
    return "".join(drawn)


def fixed_characters(text: str) -> list[bool]:
    """Return for each character of a secret whether all secrets of its format have it there."""
    ranges = [match.span() for match in _FIXED_PARTS.finditer(text)]
    for address in _IPV4.finditer(text):
        reserved = _RESERVED.match(address.group())
        if reserved:
            ranges.append((address.start(), address.start() + reserved.end()))
    local, at, domain = text.partition("@")
    if at and is_public_domain(domain):
        ranges.append((len(local), len(text)))
    fixed = [False] * len(text)
    for first, end in ranges:
        fixed[first:end] = [True] * (end - first)
    return fixed


def with_decoys(
    sample: SensitiveSample, name: str, rng: random.Random, *, repeated: bool = False
) -> SensitiveSample:
    """Return the sample with each secret replaced by a decoy.

    A secret whose format leaves no choice stays in the text and is not marked as a secret.

    Args:
        sample: the sample to copy.
        name: the id of the copy.
        rng: source of the decoys.
        repeated: if true, all occurrences of a secret get the same decoy, so that the CLM can copy
            it from the prompt as it could copy the secret. Control secrets need false: each of them
            must be independent.
    """
    text = sample.content.reveal()
    drawn: dict[str, str] = {}
    for secret in sample.secrets:
        original = text[secret.start : secret.end]
        if original not in drawn or not repeated:
            drawn[original] = decoy(original, secret.kind, rng)
        text = text[: secret.start] + drawn[original] + text[secret.end :]
    spans = [
        (secret.start, secret.end, secret.kind)
        for secret in sample.secrets
        if text[secret.start : secret.end] != secret.text.reveal()
    ]
    return make_sample(text, spans, id=name)


def _redraw(character: str, rng: random.Random, pronounceable: bool, hexadecimal: str) -> str:
    """Return a random character of the same class; `hexadecimal` is the alphabet, if any."""
    if character in hexadecimal:
        return rng.choice(hexadecimal)
    if character in string.digits:
        return rng.choice(string.digits)
    if pronounceable and character.lower() in _VOWELS + _CONSONANTS:
        drawn = rng.choice(_VOWELS if character.lower() in _VOWELS else _CONSONANTS)
        return drawn.upper() if character.isupper() else drawn
    if character in string.ascii_lowercase:
        return rng.choice(string.ascii_lowercase)
    if character in string.ascii_uppercase:
        return rng.choice(string.ascii_uppercase)
    if not character.isascii() and character.isalnum():
        return rng.choice(_same_category(character))
    return character


def _same_category(character: str) -> list[str]:
    """Return the characters of the same Unicode category in the same block of 32 code points."""
    # A block of 32 stays within one script, so that a Cyrillic password has Cyrillic decoys.
    begin = ord(character) & ~31
    category = unicodedata.category(character)
    return [c for c in map(chr, range(begin, begin + 32)) if unicodedata.category(c) == category]
