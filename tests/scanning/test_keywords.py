"""Passwords by the name that they are assigned to."""

from __future__ import annotations

import time

import pytest
from scan_oracles import findings

from erasetest.scanning.detectors.keywords import DETECTORS

VALUE = "k7Qm" + "2vXw9"


def found(text: str, path: str = "a.py") -> list[tuple[str, str]]:
    found_here = findings(DETECTORS, path, text)
    return sorted({(text[finding.start : finding.end], finding.kind) for finding in found_here})


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("a.py", "password = '{}'"),
        ("a.py", 'größe = 1; self.api_key = "{}"  # 🦉'),
        ("a.py", 'connection = connect(host, password="{}", port=int(port))'),
        ("a.py", 'if "{}" == password:'),
        ("a.js", 'const options = {{ clientSecret: "{}" }};'),
        ("a.go", 'password := "{}"'),
        ("a.cs", 'string password = "{}";'),
        ("a.yaml", "  password: {}"),
        ("a.yaml", "  password: {}  # rotate"),
        ("a.yaml", '  "password": {}'),
        ("a.ini", "password = {}"),
        ("a.properties", "app.password={}"),
        (".env", "API_KEY={}"),
        (".env.production", "export API_KEY={}"),
        ("run.sh", "export API_KEY={}"),
        ("Dockerfile", "ENV API_KEY={}"),
    ],
)
def test_the_span_is_the_value_alone(path: str, line: str) -> None:
    assert found(f"# first\r\n{line.format(VALUE)}\r\n", path) == [(VALUE, "password")]


@pytest.mark.parametrize(
    "name",
    [
        "DB_PASSWORD",
        "DATABASE_PASSWORD",
        "dbPassword",
        "POSTGRES_PASSWORD",
        "postgresql_password",
        "MYSQL_ROOT_PASSWORD",
        "PGPASSWORD",
        "mongo_password",
        "db_key",
    ],
)
def test_a_name_of_a_database_makes_it_a_database_password(name: str) -> None:
    assert found(f'{name} = "{VALUE}"') == [(VALUE, "database-password")]


def test_two_on_a_line_are_two() -> None:
    other = "Zt81" + "bbQ"
    assert found(f'login(password="{VALUE}", secret="{other}")') == sorted(
        [(VALUE, "password"), (other, "password")]
    )


@pytest.mark.parametrize(
    "line",
    [
        "password = None",
        "password = get_password()",
        "password = request.headers['password']",
        'password = os.environ["PASSWORD"]',
        'password = ""',
        'password = "password"',
        'password = "your_password"',
        'password = "changeme"',
        'password = "<password>"',
        'password = "${PASSWORD}"',
        'password = "********"',
        'password = "12345678"',
        'password = "abc"',
        'password = "hf_..."',
        'message = {"password": "Enter your password here"}',
        'secret_name = "backend-tls-2"',
        'password_field = "field_7"',
        'user_id = 7; secret = "f3a1c2d4-1111-2222-3333-444455556666"',
    ],
)
def test_what_is_not_a_password_is_not_found(line: str) -> None:
    assert found(line) == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("a.yaml", "password: null"),
        ("a.yaml", "password: ${PASSWORD}"),
        ("a.yaml", "password: {{ vault }}"),
        ("a.yaml", "password: !vault |"),
        ("run.sh", "PASSWORD=$1"),
        ("run.sh", "PASSWORD=$(pwgen 16)"),
        ("a.go", "password := cfg.Password"),
        ("a.go", 'password := os.Getenv("PASSWORD")'),
        ("a.py", "password = cfg.password7"),
        ("package-lock.json", f'"password": "{VALUE}"'),
        ("a.css", f'password: "{VALUE}"'),
    ],
)
def test_what_is_not_a_value_in_its_language_is_not_found(path: str, line: str) -> None:
    assert found(line, path) == []


def test_a_run_of_letters_that_is_no_name_takes_no_time() -> None:
    started = time.process_time()
    assert found(f'x = {"secret" * 1600}; password = "{VALUE}"') == [(VALUE, "password")]
    assert time.process_time() - started < 5
