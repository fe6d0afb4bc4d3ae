"""What is known of problems while others are still being written: a killed run goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from erasetest.errors import BadInput
from erasetest.support.atomic_files import write_text
from erasetest.utility.problems import Problem
from erasetest.utility.scoring import Tally


class ScoreJournal:
    """Tallies in a file, a line each, with what they hang on.

    Args:
        path: the file; None to keep none.
        key: what they hang on: those of other work are not taken for these, and dropped.
    """

    def __init__(self, path: Path | None, key: str) -> None:
        self._path, self._key = path, key[:16]
        self._known: dict[tuple[int, str], Tally] = {}
        if path is None:
            return
        if path.exists() and not path.is_file():
            raise BadInput(f"{path}: is in the way: results are kept there until all are known")
        rows = self._rows(path)
        for row in rows:
            number = row.pop("number")
            self._known[number, row["task_id"]] = Tally(**row)
        # Anew: what was cut off when a run was killed, or is of other work, goes.
        write_text(path, "".join(self._line(*known) for known in self._numbered()))

    def of(self, number: int, problems: Sequence[Problem]) -> list[Tally] | None:
        """The tallies of these problems under the sampling of this number, if all are known."""
        known = [self._known.get((number, problem.task_id)) for problem in problems]
        return None if None in known else [tally for tally in known if tally is not None]

    def keep(self, number: int, tallies: Sequence[Tally]) -> None:
        """Add tallies."""
        self._append("".join(self._line(number, tally) for tally in tallies))

    def end(self) -> None:
        """All is known: the file goes."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _numbered(self) -> Iterator[tuple[int, Tally]]:
        for (number, _), tally in self._known.items():
            yield number, tally

    def _line(self, number: int, tally: Tally) -> str:
        return json.dumps({"key": self._key, "number": number, **tally.to_json()}) + "\n"

    def _append(self, text: str) -> None:
        if self._path is None:
            return
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise BadInput(f"{self._path}: cannot be written: {error.strerror}") from None

    def _rows(self, path: Path) -> list[dict[str, Any]]:
        """The whole rows of the file that are of this work; what is none is passed over."""
        found = []
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            return []
        for line in lines:
            try:
                row = json.loads(line)
                if row.pop("key") == self._key:
                    Tally(**{name: row[name] for name in row if name != "number"})
                    found.append({**row, "number": int(row["number"])})
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                continue
        return found
