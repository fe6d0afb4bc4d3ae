"""The table of letter pairs in `erasetest.scanning.gibberish`, and how often its answer is wrong.

    python benchmarks/gibberish.py [-o benchmarks/results/gibberish.md]

The pairs are counted in the names of three quarters of the modules of Python's standard library.
The errors are measured on random strings, and on names of the other modules that none of the first
has. The table in the module should be the one printed here by the version of Python named there.
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

from erasetest.scanning.gibberish import PIECE, TABLE, ZERO, is_random, least_evidence

LIBRARY = Path(sysconfig.get_path("stdlib"))
LEFT_OUT = {"idlelib", "lib2to3", "site-packages", "test", "tests", "turtledemo"}
HELD_OUT = 4
"""One module of so many is held out, chosen by its name."""

DRAWS = 20_000
JOINS = 5_000
SHORTEST = 20
LIMITS = (-64, -56, -48, -40, -32)
LETTERS = string.ascii_letters
LOWER = string.ascii_lowercase
HEX = "0123456789abcdef"


@dataclass
class Names:
    """Names in modules, and dotted ones."""

    plain: set[str] = field(default_factory=set)
    dotted: set[str] = field(default_factory=set)

    def read(self, module: Path) -> None:
        """Add those of a module."""
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
    """Count, measure, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    asked = parser.parse_args()
    counted, held_out = Names(), Names()
    names = [path.relative_to(LIBRARY) for path in sorted(LIBRARY.rglob("*.py"))]
    modules = [name for name in names if not LEFT_OUT & set(name.parts)]
    for name in modules:
        (counted if crc32(name.as_posix().encode()) % HELD_OUT else held_out).read(LIBRARY / name)
    held_out.plain -= counted.plain
    held_out.dotted -= counted.dotted
    table = rows(counted.plain)
    print("\n".join(table))
    rng = random.Random(1)
    noise = dict(random_strings(rng))
    words = dict(strings_of_names(rng, held_out))
    same = "the one" if table == TABLE.split() else "NOT the one"
    text = f"""# Errors of the gibberish filter, measured

Python {platform.python_version()}, {len(modules)} modules of its standard library, every
{HELD_OUT}th held out. The table of letter pairs in `erasetest/scanning/gibberish.py` is {same}
counted here.

Random strings that are called words (after a `*`: of a kind that few secrets are):

{errors(noise, lambda text: not is_random(text))}

Strings of at least {SHORTEST} characters, of names that only the held-out modules have, that are
called random:

{errors(words, is_random)}

Other limits for the evidence (quarters of a bit), and the worst row of each table for them,
without the rows with a `*`:

{limits(noise, words)}
"""
    print(text)
    if asked.output:
        asked.output.write_text(text, encoding="utf-8")


def rows(names: Iterable[str]) -> list[str]:
    """The evidence of every pair of letters, log2 P(second | first) / (1/26), each word once."""
    words = {piece["word"] for name in names for piece in PIECE.finditer(name)} - {None}
    pairs = Counter(pair for word in {word.lower() for word in words} for pair in pairwise(word))
    firsts = Counter[str]()
    for (first, _), count in pairs.items():
        firsts[first] += count
    return ["".join(sign(pairs[one, two], firsts[one]) for two in LOWER) for one in LOWER]


def sign(count: int, of: int) -> str:
    """The evidence of a pair in quarters of a bit, as one sign in base 36."""
    share = (count + 0.5) / (of + 13)
    return (string.digits + LOWER)[max(0, min(35, ZERO + round(4 * math.log2(26 * share))))]


def random_strings(rng: random.Random) -> Iterator[tuple[str, list[str]]]:
    """Those of the kinds that secrets are, and after a `*` of kinds that few secrets are."""
    for length in (16, 20, 24, 32, 40):
        yield (
            f"base 64 of {length} bytes",
            [base64.b64encode(rng.randbytes(length)).decode() for _ in range(DRAWS)],
        )
    for title, signs, lengths in (
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
                ["".join(rng.choices(signs, k=length)) for _ in range(DRAWS)],
            )


def strings_of_names(rng: random.Random, names: Names) -> Iterator[tuple[str, list[str]]]:
    """Names that are long enough, and joins of names."""
    plain = sorted(names.plain)

    def joins(join: Callable[[list[str]], str]) -> list[str]:
        found = []
        for _ in range(JOINS):
            parts = [rng.choice(plain)]
            while len(join(parts)) < SHORTEST:
                parts.append(rng.choice(plain))
            found.append(join(parts))
        return found

    yield "names", [name for name in plain if len(name) >= SHORTEST]
    yield "dotted names", [name for name in sorted(names.dotted) if len(name) >= SHORTEST]
    yield "joins: some/path", joins("/".join)
    yield "joins: some-path", joins(lambda parts: "-".join(parts).replace("_", "-").lower())
    yield "joins: CamelCase", joins(lambda parts: "_".join(parts).title().replace("_", ""))


def errors(samples: dict[str, list[str]], is_wrong: Callable[[str], bool]) -> str:
    """A table: how many of the strings of each kind are told wrongly."""
    found = []
    for title, strings in samples.items():
        wrong = sum(map(is_wrong, strings))
        found.append([title, wrong, len(strings), f"{wrong / len(strings):.2%}"])
    return tabulate(found, ["strings", "wrong", "of", "share"], "github")


def limits(noise: dict[str, list[str]], names: dict[str, list[str]]) -> str:
    """A table: the worst shares for other limits."""
    random_ones = [of for title, of in noise.items() if not title.startswith("*")]
    found = []
    for limit in LIMITS:
        lost = 1 - min(share_below(limit, strings) for strings in random_ones)
        noisy = max(share_below(limit, strings) for strings in names.values())
        found.append([limit, f"{lost:.2%}", f"{noisy:.2%}"])
    return tabulate(found, ["limit", "random called words", "names called random"], "github")


def share_below(limit: int, strings: list[str]) -> float:
    """The share of strings whose evidence is not above a limit."""
    return sum(least_evidence(text) <= limit for text in strings) / len(strings)


if __name__ == "__main__":
    main()
