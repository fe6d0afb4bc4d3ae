"""Passwords in URLs."""

from __future__ import annotations

import pytest
from scan_oracles import findings

from erasetest.scanning.detectors.basic_auth import DETECTORS

PASSWORD = "k7Qm" + "2vXw9"


def found(text: str) -> list[str]:
    return [text[finding.start : finding.end] for finding in findings(DETECTORS, "a.py", text)]


def test_the_span_is_the_password_without_user_and_host() -> None:
    assert found(f'URL = "amqp://worker:{PASSWORD}@mq.internal:5672/jobs"') == [PASSWORD]


def test_two_urls_on_a_line_give_two() -> None:
    other = "Zt81" + "bbQ"
    line = f"# http://a:{PASSWORD}@h/ and postgres://b:{other}@h/db"
    assert found(line) == [PASSWORD, other]


@pytest.mark.parametrize(
    "password", ["{password}", "<password>", "****", "%s", "password", "your_password", "xxxx"]
)
def test_a_placeholder_of_a_password_is_not_found(password: str) -> None:
    assert found(f'URL = "https://user:{password}@host/"') == []


@pytest.mark.parametrize("url", ["https://host:8080/a@b", "https://user@host/", "host:80"])
def test_a_url_without_password_has_none(url: str) -> None:
    assert found(f'URL = "{url}"') == []
