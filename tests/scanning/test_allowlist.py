"""Allowlist comments of detect-secrets."""

from __future__ import annotations

import pytest

from erasetest.scanning import Document, find_secrets

VALUE = "k7Qm" + "2vXw9"
LINE = f'password = "{VALUE}"'


def count(text: str, path: str = "a.py") -> int:
    return len(find_secrets(Document.of(path, text)))


@pytest.mark.parametrize(
    "text",
    [
        f"{LINE}  # pragma: allowlist secret\r\n",
        f"{LINE}  # pragma: whitelist secret\n",
        f"{LINE}; // pragma: allowlist secret\n",
        f"# pragma: allowlist nextline secret\n{LINE}\n",
    ],
)
def test_an_allowlisted_line_is_left_out(text: str) -> None:
    assert count(text) == 0


def test_it_applies_to_every_detector() -> None:
    address = "mara" + "@" + "vellumworks.com"
    assert count(f"# {address}\n") == 1
    assert count(f"# {address} # pragma: allowlist secret\n") == 0


def test_other_lines_with_the_same_secret_count() -> None:
    text = f"{LINE}  # pragma: allowlist secret\n{LINE}\n"
    (finding,) = find_secrets(Document.of("a.py", text))
    assert finding.start > text.index("\n")


@pytest.mark.parametrize(
    "text",
    [f"{LINE}  # pragma: no cover\n", f"# pragma: allowlist nextline secret\n\n{LINE}\n"],
)
def test_nothing_else_is_an_allowlist(text: str) -> None:
    assert count(text) == 1
