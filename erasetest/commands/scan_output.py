"""What a scan tells of itself: on the terminal, and in the file of what it skipped."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from erasetest.scanning import ScanSummary, Skipped

_NAMED = frozenset({"basic-auth", "database-password", "password"})
"""Kinds that are masked in names as well those that no one can mistake."""

FEW = 10
"""Names that are shown of each reason why something was skipped."""


def write_skipped(write: Callable[[str], object], left_out: Skipped) -> None:
    """A JSON line of what was not scanned."""
    row = {"path": masked_name(left_out.path), "reason": left_out.reason}
    write(json.dumps(row, ensure_ascii=False).encode(errors="backslashreplace").decode() + "\n")


def masked_name(name: str) -> str:
    """A name with the secrets in it masked: a file can be called by one."""
    from erasetest.scanning import Document, find_secrets

    for finding in reversed(find_secrets(Document.of("name", name))):
        if finding.confidence == "high" or finding.kind in _NAMED:
            name = f"{name[: finding.start]}[masked]{name[finding.end :]}"
    return name


def tell_scanned(result: ScanSummary, output: Path) -> None:
    """What was found and left out: to standard error where the output is a stream."""
    from tabulate import tabulate

    from erasetest.support.atomic_files import is_stream

    aside = is_stream(output)
    say = functools.partial(typer.echo, err=aside)
    if result.places:
        say(tabulate(sorted(result.places.items()), headers=["kind", "places"]))
    say(
        f"{result.texts} texts scanned ({result.characters / 1e6:.1f} million characters): "
        f"{result.found} samples of {result.secrets} different secrets"
    )
    if result.resumed:
        say(f"{result.resumed} parts were scanned before, by a run that was stopped")
    if result.written < result.found:
        say(f"{result.written} of them were drawn")
    if result.duplicates or result.near:
        say(
            f"left out: {result.duplicates} samples that stood elsewhere already, {result.near} "
            "that are nearly the same code with the same secrets"
        )
    if result.guessed.count:
        first = [masked_name(name) for name in result.guessed.first[:3]]
        more = ["…"] if result.guessed.count > len(first) else []
        say(
            f"{result.guessed.count} texts are not UTF-8 and were read as Latin-1: "
            f"{', '.join(first + more)}"
        )
    for reason, names in sorted(result.skipped.items(), key=lambda item: -item[1].count):
        for name in names.first[:FEW]:
            typer.echo(f"skipped {masked_name(name)}", err=True)
        if names.count > FEW:
            typer.echo(
                f"skipped {names.count - FEW} more: {reason} (--skipped FILE writes all)", err=True
            )
