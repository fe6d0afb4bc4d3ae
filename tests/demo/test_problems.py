"""The problems of the demo: what is trained of them, and what their tests check."""

from __future__ import annotations

import functools
import itertools
import random
from typing import Any

from erasetest.demo.build import demo_problems
from erasetest.demo.demo_corpus import corpus
from erasetest.demo.functions import TASKS, Example, examples, split
from erasetest.utility import Outcome, Problem, Program, run_programs


@functools.cache
def _parts() -> dict[str, tuple[tuple[str, str], ...]]:
    """Return for each possible prompt its task, wording, opening, constant and argument."""
    made = {}
    for task in TASKS:
        for wording, opening, k, a in itertools.product(
            task.wordings, ("Return", "Give back", "Compute", "Find"), task.constants,
            task.arguments,
        ):  # fmt: skip
            text = f'def {task.name.format(k=k)}({a}):\n    """{opening} '
            text += f'{wording.format(k=k, a=a)}."""\n'
            made[text] = tuple(zip("twoka", (task.name, wording, opening, str(k), a), strict=True))
    return made


def test_every_part_of_a_problem_is_trained_and_their_combination_is_not() -> None:
    """The demo CLM has been trained on every word of every problem."""
    made = corpus()
    trained = {text[: text.index('."""\n') + 5] for text in made.functions}
    known = {part for prompt in trained for part in _parts()[prompt]}
    for problem in made.problems:
        assert problem.prompt not in trained
        assert set(_parts()[problem.prompt]) <= known


def test_split_holds_out() -> None:
    """Every function occurs once; problems and trained functions are disjoint."""
    made = examples(random.Random(5))
    assert {example.prompt for example in made} == set(_parts())
    assert len(made) == len(_parts())
    problems, trained = split(made, 10, 20)
    assert (len(problems), len(trained)) == (10, 20)
    assert not {p.prompt for p in problems} & {t.prompt for t in trained}


def _problem(row: dict[str, Any]) -> Problem:
    return Problem(row["task_id"], row["prompt"], row["test"], row["entry_point"])


def test_canonical_solutions_pass_in_the_sandbox_and_empty_ones_do_not() -> None:
    """One problem of each task: solved, empty, and solved with an error added."""
    rows = {row["entry_point"].rstrip("0123456789"): row for row in demo_problems()}
    assert len(rows) == len(TASKS)
    programs = []
    for row in rows.values():
        body = row["canonical_solution"]
        bodies = (
            body,
            "    return None\n",
            f"    return [{body.removeprefix('    return ')[:-1]}]\n",
        )
        programs += [_problem(row).program(text) for text in bodies]
    outcomes = [attempt.outcome for attempt in run_programs(programs, workers=2)]
    assert outcomes == [Outcome.PASSED, Outcome.FAILED, Outcome.FAILED] * len(rows)


def test_a_solution_with_another_constant_fails() -> None:
    """The tests of a problem distinguish all constants."""
    passed = []
    for row in demo_problems():
        constant = row["entry_point"].rsplit("_", 1)[1]
        for other in range(2, 10):
            body = row["canonical_solution"].replace(constant, str(other))
            if body != row["canonical_solution"] and _passes(_problem(row).program(body)):
                passed.append((row["entry_point"], other))
    assert passed == []


def _passes(program: Program) -> bool:
    try:
        exec(f"{program.code}\n{program.test}", {})
    except AssertionError:
        return False
    return True


def test_every_canonical_solution_passes() -> None:
    """All 164 are run in this process, since they are trusted; rows have HumanEval's keys."""
    rows = demo_problems()
    assert len({row["task_id"] for row in rows}) == len(rows) == 164
    for row in rows:
        assert set(row) == {"task_id", "prompt", "entry_point", "canonical_solution", "test"}
        assert _passes(_problem(row).program(row["canonical_solution"]))


def test_checks_hold_what_the_reference_says() -> None:
    """Expected results are computed by other code than the body that they check."""
    example = Example("f", "def f(a):\n", "    return a\n", (([1], "'"), ("", None)))
    lines = ["def check(candidate):", """candidate([1]) == "'\"""", "candidate('') == None"]
    assert example.test == "\n    assert ".join(lines) + "\n"
