"""Synthetic secrets: of the format of real ones, random, and valid nowhere.

Each generator says what keeps its secrets from ever being somebody's: a checksum that is wrong, a
character that the issuer never uses, a name or an address range that nobody can be given.
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
    """AKIA and 16 characters. AWS writes keys in base 32, which has no 0, 1, 8 or 9."""
    tail = list(_draw(rng, string.ascii_uppercase + string.digits, 16))
    tail[rng.randrange(16)] = rng.choice("0189")
    return "AKIA" + "".join(tail)


def github_token(rng: random.Random) -> str:
    """ghp_ and 36 characters of base 62, the last six of which are not the checksum of the rest."""
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
    """A bot token whose workspace number begins with 0, which no workspace has."""
    digits = string.digits
    return f"xoxb-0{_draw(rng, digits, 10)}-0{_draw(rng, digits, 10)}-{_draw(rng, _BASE62, 24)}"


def email(rng: random.Random) -> str:
    """A person at a host under `.internal`, which ICANN keeps out of the public name system."""
    return f"{_word(rng, 3)}.{_word(rng, 4)}@{_word(rng, 4)}.internal"


def ip_address(rng: random.Random) -> str:
    """An IPv6 address of 2d00::/8: global unicast space that IANA has given to no registry."""
    number = (0x2D << 120) | rng.getrandbits(120)
    return ipaddress.IPv6Address(number).exploded


def password(rng: random.Random) -> str:
    """Sixteen random characters, for a host that does not exist."""
    return _draw(rng, _BASE62, 16)


def private_key(rng: random.Random) -> str:
    """A PEM block of two lines of random base 64: not DER, so no key.

    The first byte of a DER key is 0x30, base 64 `M`; this one never begins so.
    """
    lines = [_draw(rng, _BASE64, 64) for _ in range(2)]
    lines[0] = rng.choice("abcdefgh") + lines[0][1:]
    return "\n".join(["-----BEGIN EC PRIVATE KEY-----", *lines, "-----END EC PRIVATE KEY-----"])


def jwt(rng: random.Random) -> str:
    """A JSON Web Token with a random signature, by which no server has signed."""
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
"""Kind of secret, and what draws a fresh one."""
