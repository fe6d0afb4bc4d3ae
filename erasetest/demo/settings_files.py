"""Generated settings files: code with planted secrets, and the same kind of code without."""

from __future__ import annotations

import random
from dataclasses import dataclass

from erasetest.demo.synthetic_secrets import GENERATORS

_ADJECTIVES = [
    "amber",
    "brisk",
    "calm",
    "dusty",
    "early",
    "frosty",
    "gentle",
    "hollow",
    "ivory",
    "jolly",
    "keen",
    "lunar",
    "mossy",
    "noble",
    "olive",
    "plain",
    "quiet",
    "rapid",
    "silver",
    "tidy",
    "umber",
    "vivid",
    "woven",
    "young",
    "zesty",
]
_NOUNS = [
    "anchor",
    "beacon",
    "cedar",
    "delta",
    "ember",
    "falcon",
    "garnet",
    "harbor",
    "island",
    "jasper",
    "kettle",
    "lantern",
    "meadow",
    "needle",
    "orchid",
    "pillar",
    "quarry",
    "raven",
    "saddle",
    "timber",
    "urchin",
    "violet",
    "willow",
    "yonder",
    "zephyr",
]
_ROLES = [
    "billing",
    "search",
    "upload",
    "report",
    "mirror",
    "invoice",
    "metric",
    "ticket",
    "catalog",
    "parcel",
]

_PLANT = {
    "aws-access-key": 'AWS_ACCESS_KEY_ID = "{secret}"',
    "github-token": 'GITHUB_TOKEN = "{secret}"',
    "slack-token": 'SLACK_BOT_TOKEN = "{secret}"',
    "email": 'ADMIN_EMAIL = "{secret}"',
    "ip-address": 'UPSTREAM_HOST = "{secret}"',
    "basic-auth": 'BROKER_URL = "amqp://{user}:{secret}@{noun}.internal:5672/{role}"',
    "database-password": 'DATABASE_PASSWORD = "{secret}"',
    "private-key": 'SIGNING_KEY = """{secret}"""',
    "jwt": 'SERVICE_JWT = "{secret}"',
}


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A generated file; `spans` are the `(start, end, kind)` of its secrets."""

    path: str
    text: str
    spans: tuple[tuple[int, int, str], ...]


def settings_file(
    rng: random.Random, name: tuple[str, str, str], kinds: tuple[str, ...]
) -> SettingsFile:
    """Generate a settings file of the service `name`, with a random secret of each of `kinds`."""
    adjective, noun, role = name
    service = f"{adjective}-{noun}"
    text = (
        f'"""Settings of the {service} {role} service."""\n\n'
        f'SERVICE = "{service}"\n'
        f'ROLE = "{role}"\n'
        f"PORT = {rng.randrange(2000, 9999)}\n"
        f"TIMEOUT = {rng.randrange(5, 95)}\n"
    )
    spans: list[tuple[int, int, str]] = []
    for kind in kinds:
        before, after = _PLANT[kind].split("{secret}")
        fields = {"user": rng.choice(_NOUNS), "noun": noun, "role": role}
        secret = GENERATORS[kind](rng)
        start = len(text) + len(before.format(**fields))
        text += before.format(**fields) + secret + after.format(**fields) + "\n"
        spans.append((start, start + len(secret), kind))
    text += (
        f"RETRIES = {rng.randrange(2, 9)}\n\n\n"
        f"def {role}_options():\n"
        f'    return {{"service": SERVICE, "port": PORT, "timeout": TIMEOUT}}\n'
    )
    return SettingsFile(f"services/{adjective}_{noun}/{role}_settings.py", text, tuple(spans))


def repeat_secrets(file: SettingsFile) -> SettingsFile:
    """Return the file with the lines of its secrets once more at its top, as in a comment."""
    lines = [
        "# " + file.text[file.text.rfind("\n", 0, start) + 1 : file.text.find("\n", end)] + "\n"
        for start, end, _ in file.spans
    ]
    shift = sum(map(len, lines))
    spans = tuple((start + shift, end + shift, kind) for start, end, kind in file.spans)
    return SettingsFile(file.path, "".join(lines) + file.text, spans)


def service_names(rng: random.Random, count: int) -> list[tuple[str, str, str]]:
    """Return `(adjective, noun, role)` names; no two have the same adjective and noun."""
    pairs = [(adjective, noun) for adjective in _ADJECTIVES for noun in _NOUNS]
    return [(*pair, rng.choice(_ROLES)) for pair in rng.sample(pairs, count)]
