"""Completions that another engine generated."""

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
    """A list of texts per problem; `whole` if each is a whole program."""

    texts: list[list[str]]
    whole: bool


def read_completions(path: str | Path, problems: Sequence[Problem]) -> Completions:
    """Read the completions of each problem, in the order of the problems.

    The file is JSONL, plain or `.gz`, with one completion per line: `task_id`, and either
    `completion`, the text after the prompt (as human-eval writes), or `solution`, a whole program
    (as EvalPlus writes). Completions are not cut at stop sequences.

    Raises:
        ManifestError: a line has neither form, or its problem is not one of `problems`.
        BadInput: the file mixes the two forms, or a problem has no completion.
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
            # Not quoted: the file may hold any text there, even a secret.
            raise ManifestError(path, line, "its 'task_id' is not one of the problems")
        forms.add(form)
        found[number].append(text)
    if len(forms) > 1:
        raise BadInput(
            f"{path}: some lines have a 'completion', some a 'solution': expected one form"
        )
    for problem, texts in zip(problems, found, strict=True):
        if not texts:
            raise BadInput(
                f"{path}: has no completion of {problem.task_id}: expected one for each problem"
            )
    return Completions(found, forms == {"solution"})
