"""The card of an erased checkpoint: ids and numbers, and what the gate said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from erasetest import __version__
from erasetest.support.atomic_files import write_text

NAME = "README.md"

_HEAD = """---
tags: [erasetest, machine-unlearning]
---
# Erased CLM

"""
_CARD = (
    _HEAD
    + """{use}Made by erasetest {version} from `{name}` (content fingerprint `{fingerprint}`).

| | |
|---|---|
| method | {method} |
| samples erased | {samples} |
| kinds of secrets | {kinds} |
| steps | {steps} |
| erased | {erased} |
| change of the retained tokens predicted, points | {change} |
| against never-seen secrets | {ranked} |
| ids | {ids} |
"""
)
_ADAPTER = """A LoRA adapter: load it onto the original (`--clm ORIGINAL --clm-adapter THIS`).

"""
_REFUSED = """**The gate did not accept this checkpoint: {verdict}.** {reasons}

"""


def write_card(folder: Path, *, adapter: bool, **values: Any) -> None:
    """Write the card into the folder of a checkpoint, or of an adapter to the original."""
    use = _ADAPTER if adapter else ""
    write_text(folder / NAME, _CARD.format(version=__version__, use=use, **values))


def refuse(folder: Path, verdict: str, reasons: list[str]) -> None:
    """Say on the card of a checkpoint that a gate which tested it did not accept it."""
    path = folder / NAME
    if path.is_file():
        said = _REFUSED.format(verdict=verdict, reasons=" ".join(f"{line}." for line in reasons))
        write_text(path, path.read_text(encoding="utf-8").replace(_HEAD, _HEAD + said, 1))
