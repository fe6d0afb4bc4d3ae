"""E-mail addresses, and other uses of an at sign."""

from __future__ import annotations

import pytest
from scan_oracles import findings

from erasetest.scanning.detectors.emails import DETECTORS

AT = "@"
HOME = "vellum" + "works"


def address(local: str = "mara.tolan", domain: str = f"{HOME}.com") -> str:
    return f"{local}{AT}{domain}"


def found(text: str) -> list[str]:
    return [text[finding.start : finding.end] for finding in findings(DETECTORS, "a.py", text)]


@pytest.mark.parametrize(
    "given",
    [
        address(),
        address("m+tag"),
        address("M_T-1"),
        address(domain=f"mail.{HOME}.co.uk"),
        address(domain=f"{HOME}.internal"),
        address("12345", "qq.com"),
        address(domain=f"{HOME}.io"),
    ],
)
@pytest.mark.parametrize(
    "line",
    [
        'author = "{}"',
        "# Written by Zoë 🦉 <{}>, 2019.",
        "mailto:{}?subject=x",
        "Ask {}.",
        r'"first line\n{}"',
        "\\email{{{}}}",
        "cc={};",
    ],
)
def test_an_address_is_found_without_its_surroundings(given: str, line: str) -> None:
    assert found(line.format(given)) == [given]


def test_two_on_a_line_are_two() -> None:
    one, other = address("one"), address("other")
    assert found(f"{one},{other}") == [one, other]


@pytest.mark.parametrize(
    "text",
    [
        address(domain="example.com"),
        address(domain="mail.example.org"),
        address(domain=f"{HOME}.example"),
        address(domain=f"{HOME}.invalid"),
        address(domain=f"{HOME}.test"),
        address(domain="localhost"),
        address(domain="app.localhost"),
        address("icon", "2x.png"),
        address("git", "github.com") + ":user/project.git",
        "ssh://" + address("git", f"{HOME}.com") + "/project.git",
        address("deploy", f"{HOME}.com") + ":/var/www",
        "ssh " + address("deploy", f"{HOME}.com"),
        "scp -r build " + address("deploy", f"{HOME}.com"),
        "https://user:word" + address("", f"{HOME}.com") + "/",
        f"{AT}app.route('/')",
        f"{AT}decorators.cache.com",
        f"y = x{AT}self.weight",
        f"y = x{AT}model.at[0]",
        f"y = x{AT}model.to(device)",
        f"this{AT}Outer.id",
        f"uses: actions/checkout{AT}v4.io",
        f"lodash{AT}4.17.21",
        f"a..b{AT}{HOME}.com",
        f"a.{AT}{HOME}.com",
        f"${{name}}{AT}{HOME}.com",
        f"$name{AT}{HOME}.com",
        f"a{AT}-{HOME}.com",
    ],
)
def test_what_is_not_an_address_of_a_person_is_not_found(text: str) -> None:
    assert found(f"x = {text}") == []
