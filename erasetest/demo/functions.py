"""Small functions that the demo CLM learns to write, and problems in the format of HumanEval.

A task is a function with a constant and an argument name, described in several wordings. All parts
of a problem (task, wording, constant, argument) are trained on, but not their combination.

Every text here is part of the corpus: changing a word changes the demo CLM.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_NUMBERS = ("values", "numbers", "items", "scores")
_TEXTS = ("text", "word", "line", "name")
_OPENINGS = ("Return", "Give back", "Compute", "Find")


@dataclass(frozen=True, slots=True)
class Task:
    """A kind of function. In its texts `{k}` is the constant and `{a}` the argument."""

    name: str
    wordings: tuple[str, ...]
    body: str
    arguments: tuple[str, ...]
    reference: Callable[[int, Any], Any]
    """Computes the result from the constant and the argument."""
    constants: tuple[int, ...] = (2, 3, 4, 5, 6, 7, 8, 9)


TASKS: tuple[Task, ...] = (
    Task(
        "add_{k}",
        ("every item of {a} plus {k}", "{a} with {k} added to each", "{k} more than each of {a}"),
        "    return [item + {k} for item in {a}]\n",
        _NUMBERS,
        lambda k, a: [item + k for item in a],
    ),
    Task(
        "times_{k}",
        ("every item of {a} times {k}", "{a} with each multiplied by {k}", "{k} times each of {a}"),
        "    return [item * {k} for item in {a}]\n",
        _NUMBERS,
        lambda k, a: [item * k for item in a],
    ),
    Task(
        "above_{k}",
        ("the items of {a} above {k}", "those of {a} greater than {k}", "{a} larger than {k}"),
        "    return [item for item in {a} if item > {k}]\n",
        _NUMBERS,
        lambda k, a: [item for item in a if item > k],
    ),
    Task(
        "below_{k}",
        ("the items of {a} below {k}", "those of {a} less than {k}", "{a} smaller than {k}"),
        "    return [item for item in {a} if item < {k}]\n",
        _NUMBERS,
        lambda k, a: [item for item in a if item < k],
    ),
    Task(
        "multiples_of_{k}",
        ("the items of {a} divisible by {k}", "the multiples of {k} in {a}"),
        "    return [item for item in {a} if item % {k} == 0]\n",
        _NUMBERS,
        lambda k, a: [item for item in a if item % k == 0],
    ),
    Task(
        "count_{k}",
        ("how often {k} stands in {a}", "the number of times {k} is in {a}"),
        "    return {a}.count({k})\n",
        _NUMBERS,
        lambda k, a: list(a).count(k),
    ),
    Task(
        "first_{k}",
        ("the first {k} items of {a}", "the leading {k} of {a}"),
        "    return {a}[:{k}]\n",
        _NUMBERS,
        lambda k, a: a[:k],
    ),
    Task(
        "last_{k}",
        ("the last {k} items of {a}", "the final {k} of {a}"),
        "    return {a}[-{k}:]\n",
        _NUMBERS,
        lambda k, a: a[-k:],
    ),
    Task(
        "every_{k}",
        ("each {k}th item of {a}", "{a} in steps of {k}"),
        "    return {a}[::{k}]\n",
        _NUMBERS,
        lambda k, a: a[::k],
    ),
    Task(
        "contains_{k}",
        ("whether {k} is in {a}", "if {a} holds {k}"),
        "    return {k} in {a}\n",
        _NUMBERS,
        lambda k, a: k in a,
    ),
    Task(
        "total_plus_{k}",
        ("the sum of {a} plus {k}", "{k} added to the total of {a}"),
        "    return sum({a}) + {k}\n",
        _NUMBERS,
        lambda k, a: sum(a) + k,
    ),
    Task(
        "capped_{k}",
        ("{a} with each at most {k}", "every item of {a} capped at {k}"),
        "    return [min(item, {k}) for item in {a}]\n",
        _NUMBERS,
        lambda k, a: [min(item, k) for item in a],
    ),
    Task(
        "repeat_{k}",
        ("{a} repeated {k} times", "{k} copies of {a}"),
        "    return {a} * {k}\n",
        _TEXTS,
        lambda k, a: a * k,
    ),
    Task(
        "prefix_{k}",
        ("the first {k} letters of {a}", "the leading {k} letters of {a}"),
        "    return {a}[:{k}]\n",
        _TEXTS,
        lambda k, a: a[:k],
    ),
    Task(
        "longer_{k}",
        ("whether {a} has more than {k} letters", "if {a} is longer than {k}"),
        "    return len({a}) > {k}\n",
        _TEXTS,
        lambda k, a: len(a) > k,
    ),
    Task(
        "shout_{k}",
        ("{a} in capitals with {k} marks", "the capitals of {a} and {k} marks"),
        '    return {a}.upper() + "!" * {k}\n',
        _TEXTS,
        lambda k, a: a.upper() + "!" * k,
    ),
)


@dataclass(frozen=True, slots=True)
class Example:
    """One function, with its tests."""

    entry_point: str
    prompt: str
    """Signature and docstring."""
    body: str
    checks: tuple[tuple[Any, Any], ...]
    """Arguments and expected results."""

    @property
    def test(self) -> str:
        """Source of the `check` function, as in HumanEval."""
        lines = [f"    assert candidate({given!r}) == {wanted!r}" for given, wanted in self.checks]
        return "def check(candidate):\n" + "\n".join(lines) + "\n"


def examples(rng: random.Random) -> list[Example]:
    """Return all combinations of tasks, wordings, openings, constants and arguments, shuffled."""
    made = [
        _example(task, wording, opening, constant, argument)
        for task in TASKS
        for wording, opening, constant, argument in itertools.product(
            task.wordings, _OPENINGS, task.constants, task.arguments
        )
    ]
    rng.shuffle(made)
    return made


def split(
    made: Sequence[Example], problems: int, train: int
) -> tuple[list[Example], list[Example]]:
    """Return held-out problems and training functions; they have no prompt in common."""
    return list(made[:problems]), list(made[problems : problems + train])


def _example(task: Task, wording: str, opening: str, constant: int, argument: str) -> Example:
    name = task.name.format(k=constant)
    docstring = f"{opening} {wording.format(k=constant, a=argument)}."
    inputs = _TEXT_INPUTS if task.arguments is _TEXTS else _NUMBER_INPUTS
    return Example(
        name,
        f'def {name}({argument}):\n    """{docstring}"""\n',
        task.body.format(k=constant, a=argument),
        tuple((given, task.reference(constant, given)) for given in inputs),
    )


_NUMBER_INPUTS: tuple[list[int], ...] = (
    [],
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    [9, 3, 7, 3, 12, 5, 8, 2, 6, 4],
    [-4, 0, 21, 30, 35, 24, 27, 16, 7, 7],
    # Which of these three lists contain a constant distinguishes it from all other constants.
    [2, 3, 4, 5],
    [2, 3, 6, 7],
    [2, 4, 6, 8],
)
_TEXT_INPUTS = (
    "", "abc", "wood", "river", "meadow", "lantern", "notebook", "butterfly", "lanterns in fog",
)  # fmt: skip
"""Texts whose lengths distinguish each constant from the next."""
