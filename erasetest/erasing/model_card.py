"""The model card of an erased checkpoint: ids and numbers, and the verdict of the gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from erasetest.support.atomic_files import write_text
from erasetest.version import __version__

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
| change of next-token accuracy on retained code, points | {change} |
| compared with control secrets | {ranked} |
| ids | {ids} |
"""
)
_ADAPTER = """A LoRA adapter: load it onto the original (`--clm ORIGINAL --clm-adapter THIS`).

"""
_REFUSED = """**The gate did not accept this checkpoint: {verdict}.** {reasons}

"""


def write_card(folder: Path, *, adapter: bool, **values: Any) -> None:
    """Write the card to the folder of a checkpoint, or of an adapter for the original.

    Args:
        folder: the checkpoint's.
        adapter: whether it holds an adapter only.
        values: the fields of the card, escaped for Markdown.
    """
    use = _ADAPTER if adapter else ""
    write_text(folder / NAME, _CARD.format(version=__version__, use=use, **values))


def refuse(folder: Path, verdict: str, reasons: list[str]) -> None:
    """Add to a checkpoint's card that the gate did not accept it."""
    path = folder / NAME
    if path.is_file():
        notice = _REFUSED.format(verdict=verdict, reasons=" ".join(f"{line}." for line in reasons))
        card = path.read_text(encoding="utf-8")
        write_text(path, card.replace(_HEAD, _HEAD + notice, 1))
