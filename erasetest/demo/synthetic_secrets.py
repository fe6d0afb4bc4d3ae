"""Synthetic secrets: random, in the format of real ones, and never valid.

The docstring of each generator states why its secrets cannot be real: a wrong checksum, a character
that the issuer does not use, or a name or address range that is assigned to nobody.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import random
import string
import zlib
from collections.abc import Callable

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_BASE64 = _BASE62 + "+/"
_URL64 = _BASE62 + "-_"
_CONSONANTS = "bdfgklmnprstvz"
_VOWELS = "aeiou"


def _draw(rng: random.Random, alphabet: str, length: int) -> str:
    return "".join(rng.choice(alphabet) for _ in range(length))


def _word(rng: random.Random, syllables: int) -> str:
    return "".join(rng.choice(_CONSONANTS) + rng.choice(_VOWELS) for _ in range(syllables))


def aws_access_key(rng: random.Random) -> str:
    """Generate AKIA and 16 characters with a 0, 1, 8 or 9, which AWS's base 32 does not have."""
    tail = list(_draw(rng, string.ascii_uppercase + string.digits, 16))
    tail[rng.randrange(16)] = rng.choice("0189")
    return "AKIA" + "".join(tail)


def github_token(rng: random.Random) -> str:
    """Generate ghp_ and 36 characters of base 62; the last six are not the checksum of the rest."""
    body, check = _draw(rng, _BASE62, 30), _draw(rng, _BASE62, 6)
    while check == _github_checksum(body):
        check = _draw(rng, _BASE62, 6)
    return f"ghp_{body}{check}"


def _github_checksum(body: str) -> str:
    number, out = zlib.crc32(body.encode()), ""
    while number:
        number, digit = divmod(number, 62)
        out = _BASE62[digit] + out
    return out.rjust(6, "0")


def slack_token(rng: random.Random) -> str:
    """Generate a bot token with a workspace number that starts with 0, which none does."""
    digits = string.digits
    return f"xoxb-0{_draw(rng, digits, 10)}-0{_draw(rng, digits, 10)}-{_draw(rng, _BASE62, 24)}"


def email(rng: random.Random) -> str:
    """Generate an address under `.internal`, which ICANN reserves outside the public DNS."""
    return f"{_word(rng, 3)}.{_word(rng, 4)}@{_word(rng, 4)}.internal"


def ip_address(rng: random.Random) -> str:
    """Generate an IPv6 address of 2d00::/8, global unicast space that IANA has not allocated."""
    number = (0x2D << 120) | rng.getrandbits(120)
    return ipaddress.IPv6Address(number).exploded


def password(rng: random.Random) -> str:
    """Generate sixteen random characters; the files use them for hosts that do not exist."""
    return _draw(rng, _BASE62, 16)


def private_key(rng: random.Random) -> str:
    """Generate a PEM block of two lines of random base 64 that is not valid DER.

    A DER key starts with the byte 0x30, which is `M` in base 64; this block starts otherwise.
    """
    lines = [_draw(rng, _BASE64, 64) for _ in range(2)]
    lines[0] = rng.choice("abcdefgh") + lines[0][1:]
    return "\n".join(["-----BEGIN EC PRIVATE KEY-----", *lines, "-----END EC PRIVATE KEY-----"])


def jwt(rng: random.Random) -> str:
    """Generate a JSON Web Token with a random signature, which belongs to no key."""
    header = _segment({"alg": "HS384"})
    payload = _segment({"sub": _draw(rng, _BASE62, 20)})
    return f"{header}.{payload}.{_draw(rng, _URL64, 64)}"


def _segment(value: dict[str, str]) -> str:
    text = json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


GENERATORS: dict[str, Callable[[random.Random], str]] = {
    "aws-access-key": aws_access_key,
    "github-token": github_token,
    "slack-token": slack_token,
    "email": email,
    "ip-address": ip_address,
    "basic-auth": password,
    "database-password": password,
    "private-key": private_key,
    "jwt": jwt,
}
"""Generators of random secrets by kind."""
