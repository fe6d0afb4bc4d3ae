"""Passwords in idioms that detect-secrets does not know."""

from __future__ import annotations

import pytest
from scan_oracles import findings

from erasetest.scanning.detectors.idioms import DETECTORS

VALUE = "k7Qm" + "2vXw9"


def found(text: str, path: str = "a.py") -> list[tuple[str, str]]:
    seen = findings(DETECTORS, path, text)
    return [(text[finding.start : finding.end], finding.kind) for finding in seen]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ('getenv("DB_PASSWORD", "{}")', "database-password"),
        ("os.environ.setdefault('API_KEY', '{}')", "password"),
        ('os.Setenv("JWT_SECRET", "{}")', "password"),
        ('builder.setPassword("{}");', "password"),
        ('strcmp(password, "{}")', "password"),
        ('add_argument("--admin-password", default="{}")', "password"),
        ('ADMIN_PASSWORD: str = "{}"', "password"),
        ('var ftpPwd string = "{}"', "password"),
        ("const key = process.env.SECRET ?? '{}';", "password"),
        ('#define MYSQL_PASSWORD "{}"', "database-password"),
        ("access_token = '{}'", "password"),
        ("jdbc:sqlserver://h;user=u;password={};encrypt=true", "database-password"),
        ('"host=h user=u password={} dbname=d"', "database-password"),
        ("CREATE USER u IDENTIFIED BY '{}';", "database-password"),
        ("ALTER ROLE u WITH PASSWORD '{}';", "database-password"),
        ("<password>{}</password>", "password"),
        ("<ns:db-password>{}</ns:db-password>", "database-password"),
    ],
)
def test_the_span_is_the_value_alone(line: str, kind: str) -> None:
    assert (VALUE, kind) in found(f"# größe\r\n{line.format(VALUE)}\r\n")


@pytest.mark.parametrize(
    "line",
    [
        'getenv("DB_PASSWORD", "none")',
        'ask_password("password")',
        'label("Password", "Enter your password")',
        'KEYS = ("password", "proxy.example.com:3128")',
        'password, fmt = "%s:%s", x',
        'secret_name: str = "k7Qm-2vXw9"',
        "def login(self, user=None, password=None, usenetrc=True):",
        'f"host={h} password={p} x"',
        "<password>{{ value }}</password>",
        "<password>${PASSWORD}</password>",
        "url?password=$PASSWORD&x=1",
        'set("api_key", "op://vault/item/field")',
        'private_key: str = "~/.ssh/id_ed25519"',
        'set_password("change-me-1")',
        'x = tokens("PKCS8_PRIV_KEY", "PBE2PARAM_st")',
    ],
)
def test_what_is_not_a_password_is_left_out(line: str) -> None:
    assert found(line) == []


def test_guesses_are_made_in_no_lock_file() -> None:
    assert found(f'getenv("DB_PASSWORD", "{VALUE}")', "package-lock.json") == []
