"""Texts that contain a never-seen string twice: a CLM that copies predicts it the second time."""

from __future__ import annotations

import random
from collections.abc import Sequence

from erasetest.samples.decoys import decoy
from erasetest.samples.sample import SensitiveSample, make_sample

_LINES = 12
"""Number of lines of code between the two occurrences, or as many as the text has."""

_WITHOUT_SECRETS = "0123456789abcdef0123456789abcdef"
"""Format of the strings if there are no secrets to take it from."""


def repeated_strings(
    texts: Sequence[SensitiveSample],
    samples: Sequence[SensitiveSample],
    count: int,
    seed: int | str,
) -> list[SensitiveSample]:
    """Return texts with a random string before and after some of their lines.

    The second occurrence is marked as a secret, to measure how well it is copied.

    Args:
        texts: code that the strings are put into.
        samples: the strings have the formats of their secrets.
        count: maximum number of texts to return.
        seed: seed of the strings.
    """
    rng = random.Random(f"{seed} repeats")
    lines = [(s.text.reveal().split("\n")[0], s.kind) for sample in samples for s in sample.secrets]
    # A format without choice would put the secret itself into code that erasing preserves.
    formats = [(line, kind) for line, kind in lines if decoy(line, kind, rng) != line]
    made = []
    for number in range(count if texts else 0):
        text, kind = formats[number % len(formats)] if formats else (_WITHOUT_SECRETS, "hex-key")
        string = decoy(text, kind, rng)
        if string == text:
            continue
        code = texts[number % len(texts)].content.reveal().splitlines(keepends=True)[:_LINES]
        before = f'value = "{string}"\n{"".join(code).rstrip()}\nvalue = "'
        span = (len(before), len(before) + len(string), kind)
        made.append(make_sample(f'{before}{string}"\n', [span], id=f"repeat-{number:03d}"))
    return made
