"""Where `erasetest.scan.gibberish` gets its table from, and how often it errs.

    python benchmarks/gibberish.py [-o benchmarks/results/gibberish.md]

Pairs of letters are counted in the identifiers of every second module of the installed Python
standard library, and in random strings; errors are measured on the other modules.
"""

from __future__ import annotations

import argparse
import base64
import math
import random
import re
import string
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tabulate import tabulate

from erasetest.scan import gibberish

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{3,}")
_QUOTED = re.compile(r"[\"']([A-Za-z0-9+/\-_=]{20,})[\"']")
_LONG = 20
_DRAWS = 20_000

RANDOM: dict[str, Callable[[random.Random], str]] = {
    **{
        f"base 64 of {count} bytes": lambda rng, count=count: base64.b64encode(
            rng.randbytes(count)
        ).decode()
        for count in (15, 18, 24, 32, 40)
    },
    **{
        f"{count} letters and digits": lambda rng, count=count: "".join(
            rng.choice(string.ascii_letters + string.digits) for _ in range(count)
        )
        for count in (20, 24, 32, 40)
    },
    "32 small letters and digits": lambda rng: "".join(
        rng.choice(string.ascii_lowercase + string.digits) for _ in range(32)
    ),
}


def main() -> None:
    """Print the table of the module, and write the table of errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("benchmarks/results/gibberish.md")
    )
    asked = parser.parse_args()
    modules = sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py"))
    sources = [
        path.read_text("utf-8", errors="replace")
        for path in modules
        if "site-packages" not in path.parts
    ]
    print(table(sources[::2]))
    rng = random.Random(0)
    rows = []
    for name, draw in RANDOM.items():
        lost = sum(not gibberish.is_random(draw(rng)) for _ in range(_DRAWS))
        rows.append([f"random: {name}", _DRAWS, f"{100 * lost / _DRAWS:.2f} % lost"])
    for name, texts in words(sources[1::2]).items():
        kept = sum(gibberish.is_random(text) for text in texts)
        rows.append([name, len(texts), f"{100 * kept / len(texts):.2f} % called random"])
    made = tabulate(rows, headers=["texts", "how many", "errors"], tablefmt="github")
    asked.output.write_text(f"# Random strings and words\n\n{made}\n", encoding="utf-8")
    print(made)


def words(sources: Iterable[str]) -> dict[str, list[str]]:
    """Texts of at least twenty characters that are made of words, by sort."""
    sources = list(sources)
    names = sorted({name for source in sources for name in _NAME.findall(source)})
    rng = random.Random(1)
    return {
        "identifiers of 20 characters and more": [name for name in names if len(name) >= _LONG],
        "paths of four identifiers": ["/".join(rng.sample(names, 4)) for _ in range(5000)],
        "three identifiers in camel case": [
            "".join(part.title() for name in rng.sample(names, 3) for part in name.split("_"))
            for _ in range(5000)
        ],
        "quoted strings of 20 characters and more": sorted(
            {text for source in sources for text in _QUOTED.findall(source)}
        ),
    }


def table(sources: Iterable[str]) -> str:
    """Log-likelihood ratios of pairs, words against random text, as the module holds them."""
    names = {name for source in sources for name in _NAME.findall(source)}
    rng = random.Random(2)
    noise = (draw(rng) for draw in RANDOM.values() for _ in range(_DRAWS))
    counts = [_pairs(names), _pairs(noise)]
    rows = []
    for one in gibberish.SIGNS:
        ratios = []
        for other in gibberish.SIGNS:
            shares = [
                (count[one, other] + 0.5) / (sum(count[one, x] for x in gibberish.SIGNS) + 14)
                for count in counts
            ]
            ratios.append(round(gibberish.SCALE * math.log(shares[0] / shares[1])))
        rows.append("".join(gibberish.to_sign(ratio) for ratio in ratios))
    return "\n".join(rows)


def _pairs(texts: Iterable[str]) -> Counter[tuple[str, str]]:
    return Counter(pair for text in texts for pair in _of_one(text))


def _of_one(text: str) -> Iterator[tuple[str, str]]:
    return gibberish.pairs(text)


if __name__ == "__main__":
    main()
