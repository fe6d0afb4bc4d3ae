"""Public IP addresses, and other numbers with dots and colons."""

from __future__ import annotations

import random

import pytest
from scan_oracles import findings

from erasetest.demo.synthetic_secrets import ip_address
from erasetest.scanning.detectors.ip_addresses import DETECTORS

V4 = ".".join(["93", "184", "77", "34"])
V6 = ip_address(random.Random(2))


def found(text: str) -> list[str]:
    return [text[finding.start : finding.end] for finding in findings(DETECTORS, "a.py", text)]


@pytest.mark.parametrize("given", [V4, V6, "2d00:7::1f", "2d00:7:8::5"])
@pytest.mark.parametrize(
    "line",
    [
        'HOST = "{}"',
        "# höst 🦉 {}.",
        "ping {} # up?",
        "{}/24",
        "<ip>{}</ip>",
        "allow {};",
        "ssh root@{}",
    ],
)
def test_an_address_is_found_without_its_surroundings(given: str, line: str) -> None:
    assert found(line.format(given)) == [given]


def test_port_and_brackets_are_left_out() -> None:
    assert found(f"http://{V4}:8080/ and http://[{V6}]:8080/") == [V4, V6]


def test_both_ends_of_a_range_count() -> None:
    assert found(f"{V4}-{V4}") == [V4, V4]


def test_an_address_of_version_four_within_one_of_six_is_found() -> None:
    assert found(f"::ffff:{V4}") == [V4]


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.4.4",
        "169.254.1.1",
        "100.64.0.1",
        "192.0.2.44",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.251",
        "233.252.1.1",
        "255.255.255.0",
        "0.0.0.0",
        "4.0.0.0",
        "240.1.2.3",
        "::1",
        "fe80::1ff:fe23:4567:890a",
        "fd00::1234",
        "ff02::fb",
        "2001:db8::1",
        "3fff:1::2",
        "2002::/16",
    ],
)
def test_addresses_that_nobody_can_reach_are_left_out(text: str) -> None:
    assert found(f'host = "{text}"') == []


@pytest.mark.parametrize(
    "text",
    [
        'version = "1.2.3.4"',
        '<AssemblyVersion value="1.2.3.4"/>',
        "# Version 2, since 1.2.3.4",
        "requests==1.2.3.4",
        "firmware: 8.4.2.17",
        "v1.2.3.4",
        "tool-1.2.3.4.tar.gz",
        "1.2.3.4-beta",
        "Mozilla/5.0 Chrome/91.1.4472.124",
        'OID = "1.3.6.1.4.1.311"',
        'COMMON_NAME = "2.5.4.3"',
        "X509_OID: 1.2.3.4",
        "date 2020.12.31.7",
        "at 2020:01:02 12:30:45",
        "01.02.03.04",
        "300.1.2.3",
        "std::dead::beef",
        "2abc::function",
        "see section 4.10.22.7",
    ],
)
def test_versions_identifiers_and_dates_are_not_found(text: str) -> None:
    assert found(text) == []
