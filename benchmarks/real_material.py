"""Never-seen secrets in real code: the standard library, with one line or file of ours in it.

The texts are the same on every machine with the same version of Python. Secrets are random, in the
format of real ones, and valid nowhere. Random numbers come from a seed, so that material to tune on
and material to report on never meet.
"""

from __future__ import annotations

import base64
import json
import random
import string
import sysconfig
import textwrap
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from erasetest.demo.synthetic_secrets import GENERATORS
from erasetest.samples import SensitiveSample, make_sample

MODULES = (
    "argparse", "ast", "calendar", "cgitb", "cmd", "configparser", "contextlib", "csv", "datetime",
    "difflib", "doctest", "fileinput", "fractions", "ftplib", "gettext", "gzip", "heapq", "imaplib",
    "inspect", "ipaddress", "locale", "mailbox", "mimetypes", "netrc", "nntplib", "optparse", "pdb",
    "pickletools", "platform", "plistlib", "poplib", "pprint", "profile", "queue", "random",
    "sched", "selectors", "shelve", "shlex", "shutil", "smtplib", "socketserver", "ssl",
    "statistics", "string", "subprocess", "tarfile", "telnetlib", "textwrap", "threading", "timeit",
    "trace",
    "turtle", "typing", "uuid", "wave", "weakref", "webbrowser", "zipapp", "zipfile",
)  # fmt: skip
"""Modules of one file each, as long as they exist in this version of Python."""

LINES = (8, 22)
"""Number of lines of real code before a planted line."""

_BASE62 = string.digits + string.ascii_letters
_WORDS = (
    "anchor", "bridge", "candle", "dragon", "empire", "falcon", "garden", "hammer", "island",
    "jungle", "kitten", "ladder", "monkey", "needle", "orange", "pepper", "quartz", "rocket",
    "summer", "thunder", "umbrella", "velvet", "winter", "yellow", "zebra", "coffee", "dolphin",
    "guitar", "mountain", "sunshine",
)  # fmt: skip
_FIRST = ("Alma", "Boris", "Chiara", "Dmitri", "Elena", "Farid", "Greta", "Hugo", "Ines", "Jonas")
_LAST = ("Abendroth", "Brandvold", "Castellan", "Dunmore", "Eskola", "Fairwind", "Galloway")

Draw = Callable[[random.Random], str]


def _of(alphabet: str, length: int, prefix: str = "") -> Draw:
    return lambda rng: prefix + "".join(rng.choice(alphabet) for _ in range(length))


def _word_password(rng: random.Random) -> str:
    return f"{rng.choice(_WORDS)}{rng.choice(_WORDS).title()}{rng.randrange(10, 99)}"


def _private_address(rng: random.Random) -> str:
    low, high = rng.randrange(1, 255), rng.randrange(2, 255)
    return rng.choice([f"192.168.{low}.{high}", f"10.{rng.randrange(256)}.{low}.{high}"])


def _public_address(rng: random.Random) -> str:
    return ".".join(str(rng.randrange(1, 255)) for _ in range(4))


def _module_password(rng: random.Random) -> str:
    return rng.choice(_existing())


def _named_password(rng: random.Random) -> str:
    return f"password{rng.choice('#!-_')}{_of(_BASE62, 5)(rng)}"


KINDS: dict[str, Draw] = {
    **{kind: draw for kind, draw in GENERATORS.items() if kind not in ("private-key", "email")},
    "stripe-key": _of(_BASE62, 24, "sk_live_0"),
    "google-api-key": _of(_BASE62 + "-_", 35, "AIza"),
    "gitlab-token": _of(_BASE62 + "-_", 20, "glpat-"),
    "hex-key": _of("0123456789abcdef", 40),
    "uuid": lambda rng: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
    "password": _of(_BASE62 + "!#%&*+", 14),
    "word-password": _word_password,
    "private-address": _private_address,
    "public-address": _public_address,
    "pin": _of(string.digits, 6),
    "module-password": _module_password,
    "named-password": _named_password,
}
"""Kinds of secrets that can stand in every form; e-mail addresses have a form of their own."""

URL_KINDS = ("basic-auth", "database-password", "password", "word-password", "named-password")
"""Kinds of secrets that stand in URLs."""


def real_lines(name: str) -> list[str]:
    """Return the lines of a module of the standard library."""
    path = Path(sysconfig.get_path("stdlib")) / f"{name}.py"
    return path.read_text(encoding="utf-8").splitlines(keepends=True)


def real_text(rng: random.Random, lines: int) -> str:
    """Return so many consecutive lines of a random module, beginning with one that is not blank."""
    while True:
        found = real_lines(rng.choice(_existing()))
        if len(found) > lines + 20:
            start = rng.randrange(10, len(found) - lines - 5)
            if found[start].strip():
                return "".join(found[start : start + lines])


def _existing() -> list[str]:
    folder = Path(sysconfig.get_path("stdlib"))
    return [name for name in MODULES if (folder / f"{name}.py").is_file()]


def _name(kind: str) -> str:
    return kind.replace("-", "_")


def python_line(rng: random.Random, kind: str, secret: str) -> tuple[str, str]:
    """Return code before and after a secret: real code with one assignment more."""
    before = real_text(rng, rng.randrange(*LINES))
    last = before.splitlines()[-1]
    indent = last[: len(last) - len(last.lstrip())]
    target = rng.choice([_name(kind).upper(), f"self.{_name(kind)}", f"default_{_name(kind)}"])
    return f'{before}{indent}{target} = "', f'"\n{real_text(rng, 4)}'


def settings_file(rng: random.Random, kind: str, secret: str) -> tuple[str, str]:
    """Return a settings file around a secret, with the names of real modules as its keys."""
    names = rng.sample(_existing(), 8)
    lines = [f"{name.upper()}_{rng.choice(['HOST', 'LEVEL', 'LIMIT'])}={rng.randrange(9999)}"
             for name in names]  # fmt: skip
    head = f"# {names[0]} service\n" + "\n".join(lines[:6])
    return f"{head}\n{_name(kind).upper()}=", f"\n{lines[6]}\n{lines[7]}\n"


def json_file(rng: random.Random, kind: str, secret: str) -> tuple[str, str]:
    """Return a JSON document around a secret."""
    names = rng.sample(_existing(), 7)
    document = {name: {"enabled": rng.random() < 0.5, "port": rng.randrange(1024, 65535)}
                for name in names}  # fmt: skip
    text = json.dumps({**document, "auth": {"user": names[0], _name(kind): "SECRET"}}, indent=2)
    before, after = text.split("SECRET")
    return before, after + "\n"


def url(rng: random.Random, kind: str, secret: str) -> tuple[str, str]:
    """Return real code with the URL of a database that has a password."""
    before = real_text(rng, rng.randrange(*LINES))
    one, two = rng.sample(_existing(), 2)
    scheme = rng.choice(["postgresql", "mysql", "amqp", "redis", "mongodb"])
    return f'{before}DATABASE = "{scheme}://{one}:', f'@{two}.example.internal:5432/{one}"\n'


FORMS: dict[str, Callable[[random.Random, str, str], tuple[str, str]]] = {
    "python": python_line,
    "settings": settings_file,
    "json": json_file,
    "url": url,
}
"""Kinds of texts that a secret stands in."""


def email_beside_a_name(rng: random.Random) -> tuple[str, str, str]:
    """Return code, an address made of the name that stands before it, and code after it."""
    before = real_text(rng, rng.randrange(*LINES))
    first, last = rng.choice(_FIRST), rng.choice(_LAST)
    word = "".join(rng.choice("bdfgklmnprst") + rng.choice("aeiou") for _ in range(3))
    host = rng.choice([f"{word}.internal", f"{word}.internal", "gmail.com", "example.com"])
    local = rng.choice([f"{first}.{last}", f"{first[0]}{last}", f"{last}{rng.randrange(99)}"])
    address = f"{local.lower()}@{host}"
    return f'{before}\n__author__ = "{first} {last} <', address, f'>"\n{real_text(rng, 4)}'


def repeated(content: str, start: int, end: int) -> tuple[str, int]:
    """Return the content with the line of a secret once more at its top, and the shift."""
    begin = content.rfind("\n", 0, start) + 1
    stop = content.find("\n", end)
    line = textwrap.dedent(content[begin : stop if stop >= 0 else len(content)]) + "\n"
    return line + content, len(line)


def encoded(content: str, start: int, end: int) -> tuple[str, int]:
    """Return the content with the secret in base 64 in a comment at its top, and the shift."""
    text = base64.b64encode(content[start:end].encode()).decode()
    line = f"# Authorization: Basic {text}\n"
    return line + content, len(line)


def never_seen(
    count: int, seed: int, *, forms: Sequence[str] = (*FORMS, "email"), repeat: str = ""
) -> list[SensitiveSample]:
    """Return samples with one never-seen secret each, evenly over forms and kinds.

    Args:
        count: number of samples.
        seed: seed of all random choices.
        forms: keys of `FORMS`, or `email`.
        repeat: `line` or `base64`: how the secret stands once more at the top of its sample.
    """
    made = []
    kinds = list(KINDS)
    for number in range(count):
        rng = random.Random(f"{seed} {number}")
        form = forms[number % len(forms)]
        if form == "email":
            kind = "email"
            before, secret, after = email_beside_a_name(rng)
        else:
            fitting = URL_KINDS if form == "url" else kinds
            kind = fitting[(number // len(forms) + number) % len(fitting)]
            secret = KINDS[kind](rng)
            before, after = FORMS[form](rng, kind, secret)
        content, start = before + secret + after, len(before)
        if repeat:
            again = repeated if repeat == "line" else encoded
            content, shift = again(content, start, start + len(secret))
            start += shift
        span = (start, start + len(secret), kind)
        name = "-".join(filter(None, (form, repeat, f"{number:03d}")))
        made.append(make_sample(content, [span], id=name))
    return made
