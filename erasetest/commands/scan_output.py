"""Output of a scan: the summary on the terminal, and the file of skipped files."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from erasetest.scanning import ScanSummary, Skipped

_MASKED_KINDS = frozenset({"basic-auth", "database-password", "password"})
"""Kinds that are masked in file names below high confidence too: they name a login themselves."""

MAX_SHOWN = 10
"""Number of skipped files that are listed per reason."""


def write_skipped(write: Callable[[str], object], left_out: Skipped) -> None:
    """Write a JSON line about a file that was not scanned, or only in part."""
    row = {"path": masked_name(left_out.path), "reason": left_out.reason}
    write(json.dumps(row, ensure_ascii=False).encode(errors="backslashreplace").decode() + "\n")


def masked_name(name: str) -> str:
    """Mask the secrets in a file name."""
    from erasetest.scanning import Document, find_secrets

    for finding in reversed(find_secrets(Document.of("name", name))):
        if finding.confidence == "high" or finding.kind in _MASKED_KINDS:
            name = f"{name[: finding.start]}[masked]{name[finding.end :]}"
    return name


def print_summary(result: ScanSummary, output: Path) -> None:
    """Print what was found and left out, to standard error if the output is a stream."""
    from tabulate import tabulate

    from erasetest.support.atomic_files import is_stream

    echo = functools.partial(typer.echo, err=is_stream(output))
    if result.places:
        echo(tabulate(sorted(result.places.items()), headers=["kind", "places"]))
    echo(
        f"{result.texts} texts scanned ({result.characters / 1e6:.1f} million characters): "
        f"{result.found} samples of {result.secrets} different secrets"
    )
    if result.resumed:
        echo(f"{result.resumed} parts were scanned before, by a run that was stopped")
    if result.written < result.found:
        echo(f"{result.written} of them were drawn at random")
    if result.duplicates or result.near_duplicates:
        echo(
            f"left out: {result.duplicates} duplicates of other samples, {result.near_duplicates} "
            "near-duplicates with the same secrets"
        )
    if result.guessed.count:
        first = [masked_name(name) for name in result.guessed.first[:3]]
        more = ["…"] if result.guessed.count > len(first) else []
        echo(
            f"{result.guessed.count} texts are not UTF-8 and were read as Latin-1: "
            f"{', '.join(first + more)}"
        )
    for reason, names in sorted(result.skipped.items(), key=lambda item: -item[1].count):
        for name in names.first[:MAX_SHOWN]:
            typer.echo(f"skipped {masked_name(name)}", err=True)
        if names.count > MAX_SHOWN:
            typer.echo(
                f"skipped {names.count - MAX_SHOWN} more: {reason} (--skipped FILE writes all)",
                err=True,
            )
