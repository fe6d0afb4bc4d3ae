"""Counts of finished problems, saved while others are still evaluated: a killed run resumes."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from erasetest.errors import BadInput
from erasetest.support.atomic_files import write_text
from erasetest.utility.problems import Problem
from erasetest.utility.scoring import Tally


class ScoreJournal:
    """A JSONL file of tallies, each with the key of the evaluation that it belongs to.

    Args:
        path: the file; None to save nothing.
        key: hash of everything that tallies depend on: those of another evaluation are dropped.

    Raises:
        BadInput: the path is not a regular file, or cannot be written.
    """

    def __init__(self, path: Path | None, key: str) -> None:
        self._path, self._key = path, key[:16]
        self._tallies: dict[tuple[int, str], Tally] = {}
        if path is None:
            return
        if path.exists() and not path.is_file():
            raise BadInput(
                f"{path}: exists and is not a regular file, but is needed for resume data: "
                "remove it, or choose another output"
            )
        for number, tally in self._saved_tallies(path):
            self._tallies[number, tally.task_id] = tally
        # Rewrite the file without a truncated last line and lines of other evaluations.
        lines = [self._line(number, tally) for (number, _), tally in self._tallies.items()]
        write_text(path, "".join(lines))

    def read(self, number: int, problems: Sequence[Problem]) -> list[Tally] | None:
        """Return the tallies of these problems under sampling `number`; None if one is missing."""
        tallies = [self._tallies.get((number, problem.task_id)) for problem in problems]
        return None if None in tallies else [tally for tally in tallies if tally is not None]

    def append(self, number: int, tallies: Sequence[Tally]) -> None:
        """Save tallies of sampling `number`.

        Raises:
            BadInput: the file cannot be written.
        """
        if self._path is None:
            return
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write("".join(self._line(number, tally) for tally in tallies))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise BadInput(f"{self._path}: cannot be written: {error.strerror}") from None

    def delete(self) -> None:
        """Delete the file: the evaluation is complete."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _line(self, number: int, tally: Tally) -> str:
        return json.dumps({"key": self._key, "number": number, **tally.as_dict()}) + "\n"

    def _saved_tallies(self, path: Path) -> list[tuple[int, Tally]]:
        """Return the tallies of this evaluation in the file; skip lines that are not valid."""
        found = []
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            return []
        for line in lines:
            try:
                row: dict[str, Any] = json.loads(line)
                if row.pop("key") == self._key:
                    number = int(row.pop("number"))
                    found.append((number, Tally.from_dict(row)))
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                continue
        return found
