"""All detectors together: every place of a secret, with one kind each."""

from __future__ import annotations

import random
import string
import subprocess
import sys

import pytest
from detect_secrets.settings import get_settings
from hypothesis import given
from hypothesis import strategies as st

from erasetest.demo.synthetic_secrets import GENERATORS
from erasetest.scanning import Document, find_secrets

VALUE = "k7Qm" + "2vXw9"
GITHUB = GENERATORS["github-token"](random.Random(1))
JWT = GENERATORS["jwt"](random.Random(1))
KEY = GENERATORS["private-key"](random.Random(1))


def found(text: str, path: str = "a.py") -> list[tuple[str, str]]:
    findings = find_secrets(Document.of(path, text))
    return [(text[finding.start : finding.end], finding.kind) for finding in findings]


def test_a_secret_is_reported_wherever_it_occurs() -> None:
    text = f'password = "{VALUE}"\n# {VALUE} again: ({VALUE})\nx{VALUE} {VALUE}_y\n'
    assert found(text) == [(VALUE, "password")] * 3


def test_a_password_that_is_a_word_is_reported_only_as_a_whole_string() -> None:
    text = "password = 'coyotecoyote'\ndef coyotecoyote(): ...\nlogin('coyotecoyote')\n"
    assert found(text) == [("coyotecoyote", "password")] * 2


def test_a_password_that_is_a_short_word_is_reported_once() -> None:
    assert found("password = 'coyote'\nlogin('coyote')\n") == [("coyote", "password")]


@pytest.mark.parametrize("lengths", [1, 40, 100])
def test_many_secrets_of_many_lengths_are_found_wherever_they_occur(lengths: int) -> None:
    rng = random.Random(3)
    tokens = ["".join(rng.choice("abc123") for _ in range(40 + n % lengths)) for n in range(120)]
    rng.shuffle(tokens)
    text = "".join(f'password = "{token}"\n' for token in tokens)
    text += "".join(f"x = f({token})\n" for token in tokens)
    assert sorted(found(text)) == sorted([(token, "password") for token in tokens] * 2)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (f'password = "{GITHUB}"', "github-token"),
        (f'secret = "{JWT}"', "jwt"),
        (f'secret = """{KEY}"""', "private-key"),
        ('secret = "mara' + '@vellumworks.com"', "email"),
        (f'password = "{"9f8e7d6c" * 4}"', "password"),
    ],
)
def test_of_kinds_that_overlap_the_most_specific_is_reported(line: str, kind: str) -> None:
    assert [hit for _, hit in found(line)] == [kind]


def test_a_password_within_a_url_is_the_password_alone() -> None:
    assert found(f'DB_SECRET = "postgres://app:{VALUE}@db.internal/app"') == [(VALUE, "basic-auth")]


def test_a_repetition_never_splits_a_longer_secret() -> None:
    longer = f"long-{VALUE}-tail7"
    assert found(f'url = "amqp://app:{VALUE}@mq"\nsecret = "{longer}"\n') == [
        (VALUE, "basic-auth"),
        (longer, "password"),
    ]


def test_a_repetition_gives_its_kind_to_a_finding_of_the_same_span() -> None:
    assert found(f'url = "amqp://app:{VALUE}@mq"\nsecret = "{VALUE}"\n') == [
        (VALUE, "basic-auth"),
        (VALUE, "basic-auth"),
    ]


def test_findings_are_in_order_and_the_same_each_time() -> None:
    text = f'a = "{JWT}"\npassword = "{VALUE}"\nb = "{GITHUB}"  # {VALUE}\n'
    findings = find_secrets(Document.of("a.py", text))
    assert findings == sorted(findings, key=lambda finding: finding.start)
    assert all(find_secrets(Document.of("a.py", text)) == findings for _ in range(3))


def test_importing_the_detectors_does_not_change_warnings() -> None:
    program = (
        "import warnings; shown = warnings.showwarning; import erasetest.scanning; "
        "assert warnings.showwarning is shown"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_nothing_is_verified_under_any_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("a live service was asked")

    policy = "detect_secrets.filters.common.is_ignored_due_to_verification_policies"
    monkeypatch.setattr("requests.sessions.Session.request", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setitem(get_settings().filters, policy, {"path": policy, "min_level": 2})
    slack = GENERATORS["slack-token"](random.Random(1))
    assert found(f'token = "{slack}"') == [(slack, "slack-token")]


PLANTS = {
    "aws-access-key": 'AWS_ACCESS_KEY_ID = "{}"',
    "github-token": "    - token: {}",
    "slack-token": "client = WebClient('{}')",
    "email": "# Ask {} first",
    "ip-address": 'HOSTS = ["{}"]',
    "basic-auth": 'url = f"amqp://worker:{}@queue.internal:5672/jobs"',
    "database-password": "    'PGPASSWORD': '{}',",
    "private-key": 'SIGNING = """{}"""',
    "jwt": "curl -H 'Authorization: Bearer {}' $URL",
    "password": 'login(user, password="{}")',
    "high-entropy-hex": "seeds = ['{}']",
}
DRAWN = GENERATORS | {
    "password": GENERATORS["database-password"],
    "high-entropy-hex": lambda rng: f"{rng.getrandbits(160) | 7 << 157:040x}",
}
NAMES = st.text(string.ascii_lowercase + "äß語🦉", min_size=1, max_size=12)
CODE = st.lists(
    st.one_of(
        NAMES.map(lambda name: f"def {name}(self, value):"),
        NAMES.map(lambda name: f"    return {name}[1:-1]  # {name} 1.5"),
        NAMES.map(lambda name: f'{name} = "{name}"'),
        NAMES.map(lambda name: f"@{name}.cached"),
        NAMES.map(lambda name: f"import {name}"),
        st.just(""),
    ),
    max_size=12,
)


@given(
    kind=st.sampled_from(sorted(PLANTS)),
    seed=st.integers(0, 2**32),
    before=CODE,
    after=CODE,
    line_break=st.sampled_from(["\n", "\r\n"]),
)
def test_a_planted_secret_is_found_exactly(
    kind: str, seed: int, before: list[str], after: list[str], line_break: str
) -> None:
    secret = DRAWN[kind](random.Random(seed)).replace("\n", line_break)
    head, tail = PLANTS[kind].split("{}")
    prefix = "".join(line + line_break for line in before) + head
    text = prefix + secret + tail + line_break + line_break.join(after)
    (finding,) = find_secrets(Document.of("a.py", text))
    assert (finding.start, finding.end) == (len(prefix), len(prefix) + len(secret))
    assert finding.kind == kind
