"""IP addresses of hosts on the public internet."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator

from erasetest.scanning.detectors import Detector
from erasetest.scanning.document import Document, Finding, Line
from erasetest.scanning.required_literals import RequiredLiterals

# Five numbers with dots are an object identifier; adjacent letters make it a version.
_V4 = re.compile(
    r"(?<![\w.])(?<![^0-9]-)(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?!\w)(?!\.\w)(?![-+][A-Za-z])"
)
_REQUIRED = RequiredLiterals(
    shapes=frozenset({r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]", r"[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:.]"})
)
# 2000::/3 is the whole public space, so `dead::beef` is not a candidate.
_V6 = re.compile(r"(?<![\w:.])[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:.]{1,41}+(?!\w)")
_DOCUMENTATION = ipaddress.IPv6Network(
    "3fff::/20"
)  # RFC 9637, unknown to `ipaddress` of Python 3.11
# Roots of object identifiers: 2.5.4 and 2.5.29 (X.509), 1.3.6.1, 1.3.14, 1.3.101 (algorithms).
_OID = re.compile(r"(?:2\.5\.(?:4|29)|1\.3\.(?:6\.1|14|101))(?:\.|$)")
_VERSION_BEFORE = re.compile(
    r"(?:(?:version|section|§|(?<![a-z])"
    r"(?:build|firmware|oid|release|rev|revision|step|ver)(?![a-z]))[^(]{0,60}"
    r"|[~<>!=^]=\s*|[~^]|[\w)]/)$",
    re.IGNORECASE,
)


def find(_document: Document, lines: Iterable[Line]) -> Iterator[Finding]:
    """Find globally routable addresses, without port, brackets or prefix length."""
    for line in lines:
        yield from _find_v4(line.text, line.start)
        yield from _find_v6(line.text, line.start)


def _find_v4(line: str, offset: int) -> Iterator[Finding]:
    if line.count(".") < 3:
        return
    for match in _V4.finditer(line):
        text = match.group()
        if _is_public(text) and not _is_not_a_host(text, line[: match.start()]):
            yield Finding(offset + match.start(), offset + match.end(), "ip-address", "medium")


def _find_v6(line: str, offset: int) -> Iterator[Finding]:
    if line.count(":") < 2:
        return
    for match in _V6.finditer(line):
        text = match.group().rstrip(".")
        if not text.endswith("::"):
            text = text.rstrip(":")
        if _is_public(text):
            start = offset + match.start()
            yield Finding(start, start + len(text), "ip-address", "medium")


# Public DNS resolvers, and usual placeholders for an address.
_WELL_KNOWN = frozenset(
    {"1.0.0.1", "1.1.1.1", "1.2.3.4", "4.3.2.1", "8.8.4.4", "8.8.8.8", "9.9.9.9"}
)


def _is_public(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and (
        address in _DOCUMENTATION or int(address) % 2**96 == 0
    ):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _is_not_a_host(text: str, before: str) -> bool:
    # Addresses of networks (4.0.0.0/8, and 2002::/16 above) are not hosts.
    return (
        text in _WELL_KNOWN
        or text.endswith(".0.0")
        or _OID.match(text) is not None
        or _VERSION_BEFORE.search(before[-80:]) is not None
    )


DETECTORS = (Detector(find, _REQUIRED),)
