"""Plants secrets, and values that only look like secrets, in contexts of each language."""

from __future__ import annotations

import functools
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from erasetest.demo.synthetic_secrets import GENERATORS

from .base import WORDS
from .kinds import FORMS, Form, key_lines
from .languages import COMMANDS, LANGUAGES, PAIRS
from .negatives import LINES, NEGATIVES

_COMMON = ("password", "database-password", "basic-auth", "email", "ip-address", "private-key")
_COMMON_WEIGHT = 3
"""Weight of the kinds in `_COMMON`, relative to the others."""
_NEED_QUOTES = frozenset(" ;&|<>(){}[]$*!#%^~`")


@dataclass(frozen=True, slots=True)
class Mark:
    """Label of a planted text: a secret's kind, or the reason why it is not one, with context."""

    name: str
    is_secret: bool
    context: str


Part = tuple[str, Mark | None]
Plant = tuple[Part, ...]


def secret(rng: random.Random, language: str) -> list[Plant]:
    """Return a fresh secret in its context, sometimes in two contexts, or an AWS key pair.

    Each of the returned plants belongs in the same file.
    """
    kind = rng.choice(_kinds())
    if kind == "private-key":
        return [_private_key(rng, language)]
    if kind == "aws-secret-access-key" and rng.random() < 0.5:
        return [_pair(rng, language)]
    commands = [text for text, of in COMMANDS.get(language, ()) if of == kind]
    if commands and rng.random() < 0.15:
        form = rng.choice([form for form in _forms()[kind] if not form.quoted])
        return [_plant(rng, rng.choice(commands), form, [form.draw(rng)], True)]
    form = rng.choice(_forms()[kind])
    drawn = form.draw(rng)
    times = 2 if rng.random() < 0.05 else 1
    return [_in_context(rng, language, form, drawn, True) for _ in range(times)]


def negative(rng: random.Random, language: str) -> Plant:
    """Return a plant that is not a secret."""
    lines = _lines(language)
    if lines and rng.random() < 0.25:
        reason, line = rng.choice(lines)
        return ((line % _words(rng, ("value",)), Mark(reason, False, f"{language}: {line}")),)
    form = rng.choice(NEGATIVES)
    return _in_context(rng, language, form, form.draw(rng), False)


@functools.cache
def _forms() -> dict[str, list[Form]]:
    forms: dict[str, list[Form]] = defaultdict(list)
    for form in FORMS:
        forms[form.kind].append(form)
    return forms


@functools.cache
def _kinds() -> tuple[str, ...]:
    repeated = [kind for kind in _COMMON for _ in range(_COMMON_WEIGHT - 1)]
    return (*_forms(), "private-key", *repeated)


@functools.cache
def _lines(language: str) -> list[tuple[str, str]]:
    return [(reason, line) for reason, lines in LINES.items() for line in lines.get(language, ())]


@functools.cache
def _contexts(language: str, named: bool, quoted: bool) -> list[str]:
    spec = LANGUAGES[language]
    every = spec.named if named else (*spec.named, *spec.free)
    return [text for text in every if not quoted or spec.bare or _is_quoted(text)]


def _is_quoted(context: str) -> bool:
    before = context.split("§")[0]
    return any(before.count(quote) % 2 for quote in "\"'`")


def _in_context(
    rng: random.Random, language: str, form: Form, drawn: str, is_secret: bool
) -> Plant:
    value = rng.choice(form.values)
    quoted = form.quoted or not _NEED_QUOTES.isdisjoint(value.replace("%(", ""))
    context = rng.choice(_contexts(language, form.named, quoted))
    return _plant(rng, context.replace("§", value), form, [drawn], is_secret, language)


def _private_key(rng: random.Random, language: str) -> Plant:
    context, between = rng.choice(LANGUAGES[language].keys)
    form = Form("private-key", GENERATORS["private-key"], ("private_key", "signing_key", "tls_key"))
    drawn = between.join(key_lines(rng))
    return _plant(rng, context, form, [drawn], True, language)


def _pair(rng: random.Random, language: str) -> Plant:
    halves = [_forms()[kind][0] for kind in ("aws-access-key", "aws-secret-access-key")]
    context = rng.choice(PAIRS[language])
    drawn = [half.draw(rng) for half in halves]
    return _plant(rng, context, halves, drawn, True, language)


def _plant(
    rng: random.Random,
    context: str,
    form: Form | Sequence[Form],
    drawn: Sequence[str],
    is_secret: bool,
    language: str = "command",
) -> Plant:
    forms = [form] if isinstance(form, Form) else form
    first, *rest = (context % _words(rng, forms[0].names)).split("§")
    parts: list[Part] = [(first, None)]
    for one, text, after in zip(forms, drawn, rest, strict=True):
        parts += [(text, Mark(one.kind, is_secret, f"{language}: {context}")), (after, None)]
    return tuple(parts)


def _words(rng: random.Random, names: Sequence[str]) -> dict[str, str]:
    name = rng.choice(names)
    words = name.split("_")
    pascal = "".join(word[:1].upper() + word[1:] for word in words)
    one, other, third = rng.choices(WORDS, k=3)
    number = rng.randrange(1024, 9999)
    return {
        "n": name,
        "N": name.upper(),
        "c": words[0] + pascal[len(words[0]) :],
        "P": pascal,
        "k": "-".join(words),
        "w": one,
        "W": one.upper(),
        "x": other,
        "h": f"{third}-{number % 9}.{other}.internal",
        "d": str(number),
        "b": str(number % 256),
    }
