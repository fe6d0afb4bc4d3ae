"""Computes the letter pair table of `erasetest.scanning.gibberish` and measures its error rates.

    python benchmarks/gibberish.py [-o benchmarks/results/gibberish.md]

The pairs are counted in the identifiers of three quarters of the modules of Python's standard
library. The errors are measured on random strings, and on identifiers that occur only in the other
modules. The table in `gibberish.py` should equal the one printed here, with the Python version that
the results name.
"""

from __future__ import annotations

import argparse
import ast
import base64
import math
import platform
import random
import re
import string
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from zlib import crc32

from tabulate import tabulate

from erasetest.scanning.gibberish import PIECE, TABLE, ZERO, is_random, min_evidence

LIBRARY = Path(sysconfig.get_path("stdlib"))
EXCLUDED = {"idlelib", "lib2to3", "site-packages", "test", "tests", "turtledemo"}
HELD_OUT = 4
"""One of this number of modules is held out, chosen by a hash of its name."""

DRAWS = 20_000
JOINS = 5_000
MIN_LENGTH = 20
LIMITS = (-64, -56, -48, -40, -32)
LETTERS = string.ascii_letters
LOWER = string.ascii_lowercase
HEX = "0123456789abcdef"


@dataclass
class Names:
    """Identifiers in modules, plain and dotted."""

    plain: set[str] = field(default_factory=set)
    dotted: set[str] = field(default_factory=set)

    def read(self, module: Path) -> None:
        """Add the identifiers of a module."""
        for node in ast.walk(ast.parse(module.read_bytes())):
            for attribute in ("id", "attr", "name", "arg", "asname"):
                name = getattr(node, attribute, None)
                if isinstance(name, str) and name.isascii():
                    (self.dotted if "." in name else self.plain).add(name)
            if isinstance(node, ast.Attribute):
                path = ast.unparse(node)
                if re.fullmatch(r"[A-Za-z0-9_.]+", path):
                    self.dotted.add(path)


def main() -> None:
    """Compute the table, measure the errors, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    counted, held_out = Names(), Names()
    names = [path.relative_to(LIBRARY) for path in sorted(LIBRARY.rglob("*.py"))]
    modules = [name for name in names if not EXCLUDED & set(name.parts)]
    for name in modules:
        (counted if crc32(name.as_posix().encode()) % HELD_OUT else held_out).read(LIBRARY / name)
    held_out.plain -= counted.plain
    held_out.dotted -= counted.dotted
    table = rows(counted.plain)
    print("\n".join(table))
    rng = random.Random(1)
    random_ones = dict(random_strings(rng))
    words = dict(strings_of_names(rng, held_out))
    comparison = "the one" if table == TABLE.split() else "NOT the one"
    text = f"""# Errors of the gibberish filter, measured

Python {platform.python_version()}, {len(modules)} modules of its standard library, every
{HELD_OUT}th held out. The table of letter pairs in `erasetest/scanning/gibberish.py` is
{comparison} computed here.

Random strings that are classified as words (with a `*`: a kind of string that few secrets are):

{errors(random_ones, lambda text: not is_random(text))}

Strings of at least {MIN_LENGTH} characters, composed of identifiers that only the held-out modules
have, that are classified as random:

{errors(words, is_random)}

Other limits for the evidence (in quarters of a bit), and the highest error rate of each table,
without the rows with a `*`:

{limits(random_ones, words)}
"""
    print(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")


def rows(names: Iterable[str]) -> list[str]:
    """Return the evidence of each pair of letters, log2(26 P(second | first)), per first letter."""
    words = {piece["word"] for name in names for piece in PIECE.finditer(name)} - {None}
    pairs = Counter(pair for word in {word.lower() for word in words} for pair in pairwise(word))
    firsts = Counter[str]()
    for (first, _), count in pairs.items():
        firsts[first] += count
    return ["".join(digit(pairs[one, two], firsts[one]) for two in LOWER) for one in LOWER]


def digit(count: int, total: int) -> str:
    """Return the evidence of a pair in quarters of a bit, as one digit in base 36."""
    # Half a count is added to each of the 26 pairs, so that none has a probability of 0.
    share = (count + 0.5) / (total + 13)
    return (string.digits + LOWER)[max(0, min(35, ZERO + round(4 * math.log2(26 * share))))]


def random_strings(rng: random.Random) -> Iterator[tuple[str, list[str]]]:
    """Yield random strings by title; a `*` marks kinds of strings that few secrets are."""
    for length in (16, 20, 24, 32, 40):
        yield (
            f"base 64 of {length} bytes",
            [base64.b64encode(rng.randbytes(length)).decode() for _ in range(DRAWS)],
        )
    for title, alphabet, lengths in (
        ("letters and digits", LETTERS + string.digits, (20, 24, 32, 40)),
        ("lower case and digits", LOWER + string.digits, (20, 32)),
        ("upper case and digits", string.ascii_uppercase + string.digits, (20, 32)),
        ("hex digits", HEX, (32, 40)),
        ("* hex digits", HEX, (16, 20)),
        ("* lower case", LOWER, (20, 32)),
    ):
        for length in lengths:
            yield (
                f"{title}, {length}",
                ["".join(rng.choices(alphabet, k=length)) for _ in range(DRAWS)],
            )


def strings_of_names(rng: random.Random, names: Names) -> Iterator[tuple[str, list[str]]]:
    """Yield by title identifiers of at least `MIN_LENGTH` characters, and joined identifiers."""
    plain = sorted(names.plain)

    def joins(join: Callable[[list[str]], str]) -> list[str]:
        found = []
        for _ in range(JOINS):
            parts = [rng.choice(plain)]
            while len(join(parts)) < MIN_LENGTH:
                parts.append(rng.choice(plain))
            found.append(join(parts))
        return found

    yield "names", [name for name in plain if len(name) >= MIN_LENGTH]
    yield "dotted names", [name for name in sorted(names.dotted) if len(name) >= MIN_LENGTH]
    yield "joins: some/path", joins("/".join)
    yield "joins: some-path", joins(lambda parts: "-".join(parts).replace("_", "-").lower())
    yield "joins: CamelCase", joins(lambda parts: "_".join(parts).title().replace("_", ""))


def errors(samples: dict[str, list[str]], is_wrong: Callable[[str], bool]) -> str:
    """Return a table: how many strings of each kind are classified wrongly."""
    table = []
    for title, strings in samples.items():
        wrong = sum(map(is_wrong, strings))
        table.append([title, wrong, len(strings), f"{wrong / len(strings):.2%}"])
    return tabulate(table, ["strings", "wrong", "of", "share"], "github")


def limits(random_ones: dict[str, list[str]], names: dict[str, list[str]]) -> str:
    """Return a table: the highest error rates for other limits."""
    usual = [strings for title, strings in random_ones.items() if not title.startswith("*")]
    table = []
    for limit in LIMITS:
        missed = 1 - min(share_below(limit, strings) for strings in usual)
        false_alarms = max(share_below(limit, strings) for strings in names.values())
        table.append([limit, f"{missed:.2%}", f"{false_alarms:.2%}"])
    return tabulate(table, ["limit", "random as words", "names as random"], "github")


def share_below(limit: int, strings: list[str]) -> float:
    """Return the fraction of strings whose evidence is at most a limit."""
    return sum(min_evidence(text) <= limit for text in strings) / len(strings)


if __name__ == "__main__":
    main()
