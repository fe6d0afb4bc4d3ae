"""Where the demo's secrets are planted."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from erasetest.demo.settings_files import SettingsFile

SEEDS = st.integers(0, 2**32)

ASSIGNED = {
    "aws-access-key": r'AWS_ACCESS_KEY_ID = "([^"]+)"',
    "github-token": r'GITHUB_TOKEN = "([^"]+)"',
    "slack-token": r'SLACK_BOT_TOKEN = "([^"]+)"',
    "email": r'ADMIN_EMAIL = "([^"]+)"',
    "ip-address": r'UPSTREAM_HOST = "([^"]+)"',
    "basic-auth": r'BROKER_URL = "amqp://[a-z]+:([^@"]+)@[a-z]+\.internal:5672/[a-z]+"',
    "database-password": r'DATABASE_PASSWORD = "([^"]+)"',
    "private-key": r'SIGNING_KEY = """([^"]+)"""',
    "jwt": r'SERVICE_JWT = "([^"]+)"',
}
"""The line that a secret of each kind is planted in."""


def secrets_of(files: Sequence[SettingsFile]) -> list[str]:
    return [file.text[start:end] for file in files for start, end, _ in file.spans]
