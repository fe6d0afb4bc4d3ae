"""What is known of problems while others are still being written: a killed run goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from erasetest.errors import BadInput
from erasetest.utility.problems import Problem
from erasetest.utility.score import Tally


class Tallies:
    """Tallies in a file, a line each; its first line says what they hang on.

    Args:
        path: the file; None to keep none.
        key: what they hang on: those of other work are dropped.
    """

    def __init__(self, path: Path | None, key: str) -> None:
        self._path = path
        self._known: dict[tuple[int, str], Tally] = {}
        if path is None:
            return
        lines = self._lines(path)
        if not lines or lines[0] != {"key": key}:
            self._append({"key": key}, "w")
            return
        for line in lines[1:]:
            number = line.pop("number")
            self._known[number, line["task_id"]] = Tally(**line)

    def of(self, number: int, problems: Sequence[Problem]) -> list[Tally] | None:
        """The tallies of these problems under the sampling of this number, if all are known."""
        known = [self._known.get((number, problem.task_id)) for problem in problems]
        return None if None in known else [tally for tally in known if tally is not None]

    def keep(self, number: int, tallies: Sequence[Tally]) -> None:
        """Add tallies."""
        for tally in tallies:
            self._append({"number": number, **tally.to_json()}, "a")

    def end(self) -> None:
        """All is known: the file goes."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _append(self, row: dict[str, Any], mode: str) -> None:
        if self._path is None:
            return
        try:
            with self._path.open(mode, encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise BadInput(f"{self._path}: cannot be written: {error.strerror}") from None

    @staticmethod
    def _lines(path: Path) -> list[dict[str, Any]]:
        """The whole lines of the file; where it was cut off, the rest is made anew."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return []
        whole, _, broken = text.rpartition("\n")
        try:
            lines = [json.loads(line) for line in whole.splitlines()]
        except ValueError:
            return []
        if broken:
            path.write_text(whole + "\n", encoding="utf-8")
        return lines
