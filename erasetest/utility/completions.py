"""Completions that another engine wrote."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from erasetest.errors import BadInput, ManifestError
from erasetest.support.json_lines import rows
from erasetest.utility.problems import Problem

_MBPP = re.compile(r"\Ambpp/", re.IGNORECASE)


@dataclass(frozen=True, slots=True, repr=False)
class Completions:
    """A list of texts for each problem; `whole`: they are programs of their own."""

    texts: list[list[str]]
    whole: bool


def read_completions(path: str | Path, problems: Sequence[Problem]) -> Completions:
    """The completions of each problem, in the order of the problems.

    A JSONL file, plain or `.gz`, a completion a line: `task_id`, and either `completion`, what
    follows the prompt (as human-eval writes), or `solution`, a program of its own (as EvalPlus
    writes). They are taken as they are: nothing is cut.

    Raises:
        ManifestError: a line is not of either form, or of a problem that is not asked for.
        BadInput: the file mixes the two forms, or a problem has none.
    """
    by_id = {problem.task_id: number for number, problem in enumerate(problems)}
    found: list[list[str]] = [[] for _ in problems]
    forms = set()
    for line, row in rows(Path(path)):
        form = "solution" if "solution" in row else "completion"
        text, task = row.get(form), row.get("task_id")
        if not isinstance(text, str) or not isinstance(task, (str, int)):
            reason = "expected 'task_id' and a string 'completion' or 'solution'"
            raise ManifestError(path, line, reason)
        # MBPP numbers its problems; EvalPlus writes the same number as "Mbpp/2".
        number = by_id.get(str(task), by_id.get(_MBPP.sub("", str(task))))
        if number is None:
            # Not quoted: whoever wrote the file may have written anything there.
            raise ManifestError(path, line, "its 'task_id' is none of the problems")
        forms.add(form)
        found[number].append(text)
    if len(forms) > 1:
        raise BadInput(f"{path}: some lines hold a 'completion', some a 'solution': expected one")
    for problem, texts in zip(problems, found, strict=True):
        if not texts:
            raise BadInput(f"{path}: holds no completion of {problem.task_id}")
    return Completions(found, forms == {"solution"})
