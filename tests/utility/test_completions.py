"""Completions of other engines, and EvalPlus' problems."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from erasetest.errors import BadInput, ManifestError
from erasetest.utility.completions import read_completions
from erasetest.utility.problem_check import check_problems
from erasetest.utility.problems import Problem, read_problems
from erasetest.utility.scoring import repetition, score_completions

CHECK = "def check(f):\n    assert f(2) == 4\n"
PROBLEMS = [
    Problem("H/0", "def square(x):\n", CHECK, "square"),
    Problem("2", "", "assert two() == 2", None),
]


def _write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_human_evals_form(tmp_path: Path) -> None:
    """`completion` follows the prompt; other keys, and the order of lines, do not matter."""
    path = _write(
        tmp_path / "c.jsonl",
        {"task_id": "2", "completion": "def two(): return 2", "result": "passed"},
        {"task_id": "H/0", "completion": "    return x * x"},
        {"task_id": 2, "completion": "def two(): return 3"},
        {"task_id": "H/0", "completion": "    return x"},
    )
    found = read_completions(path, PROBLEMS)
    assert not found.whole
    assert found.texts == [
        ["    return x * x", "    return x"],
        ["def two(): return 2", "def two(): return 3"],
    ]
    assert score_completions(PROBLEMS, found.texts).passed == {"H/0": 1, "2": 1}


def test_eval_plus_form(tmp_path: Path) -> None:
    """`solution` is a whole program; MBPP's numbers follow its name; gzip is read."""
    path = tmp_path / "c.jsonl.gz"
    rows = [
        {"task_id": "Mbpp/2", "solution": "def two(): return 2"},
        {"task_id": "H/0", "solution": "def square(x):\n    return x * x"},
    ]
    with gzip.open(path, "wt") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))
    found = read_completions(path, PROBLEMS)
    assert found.whole
    score = score_completions(PROBLEMS, found.texts, whole=True)
    assert score.passed == {"H/0": 1, "2": 1}
    assert score.texts["parse"] == 1


SECRET = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"  # pragma: allowlist secret
BAD: dict[str, tuple[list[dict[str, Any]], str]] = {
    "no text": ([{"task_id": "2"}], "1: expected 'task_id'"),
    "no task": ([{"completion": SECRET}], "1: expected 'task_id'"),
    "another problem": ([{"task_id": "H/9", "completion": SECRET}], "1: its 'task_id' is not one"),
    "two forms": (
        [{"task_id": "2", "completion": SECRET}, {"task_id": "H/0", "solution": SECRET}],
        "some lines have",
    ),
    "another suite's problem of that number": (
        [{"task_id": "HumanEval/2", "completion": SECRET}],
        "1: its 'task_id' is not one",
    ),
    "none of a problem": ([{"task_id": "2", "completion": SECRET}], "no completion of H/0"),
}


@pytest.mark.parametrize(("rows", "reason"), BAD.values(), ids=BAD.keys())
def test_bad_lines_are_named(tmp_path: Path, rows: list[Any], reason: str) -> None:
    """With its line, and without the text of the line."""
    with pytest.raises((BadInput, ManifestError)) as caught:
        read_completions(_write(tmp_path / "c.jsonl", *rows), PROBLEMS)
    assert reason in str(caught.value)
    assert SECRET not in str(caught.value)


PLUS: dict[str, Any] = {
    "task_id": "HumanEval/0",
    "prompt": "def total(xs):\n",
    "entry_point": "total",
    "canonical_solution": "    return xs[0] + total(xs[1:]) if xs else 0.0\n",
    "base_input": [[[1.0, 2.0]]],
    "plus_input": [[[0.1, 0.2, 0.3]], [[]]],
    "atol": 0,
}


@pytest.mark.parametrize(
    ("body", "passes"),
    [
        (PLUS["canonical_solution"], True),
        ("    return sum(reversed(xs))\n", True),  # differs in the last digit
        ("    return sum(xs) + 1e-5\n", False),
        ("    return sum(xs) if len(xs) < 3 else 0.0\n", False),
        ("    return 3.0\n", False),
        ("    return [sum(xs)]\n", False),
        ("    xs.clear()\n    return 0.0\n", False),
    ],
)
def test_eval_plus_problems(tmp_path: Path, body: str, passes: bool) -> None:
    """The canonical solution gives the expected results; floats may differ slightly."""
    problems = read_problems(_write(tmp_path / "p.jsonl", PLUS))
    assert score_completions(problems, [[body]]).passed == {"HumanEval/0": int(passes)}


def test_any_root_is_accepted(tmp_path: Path) -> None:
    """An exception of EvalPlus: the result of `find_zero` is inserted into the polynomial."""
    row = {
        **PLUS,
        "prompt": "def poly(xs, x):\n    return xs[0] + xs[1] * x * x\n\ndef find_zero(xs):\n",
        "entry_point": "find_zero",
        "canonical_solution": "    return 2.0\n",
        "base_input": [[[-4, 1]]],
        "plus_input": [],
        "atol": 1e-6,
    }
    problems = read_problems(_write(tmp_path / "p.jsonl", row))
    for body, passed in (("    return -2.0\n", 1), ("    return 1.0\n", 0)):
        assert score_completions(problems, [[body]]).passed == {"HumanEval/0": passed}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"base_input": 1}, "'base_input' must be a list"),
        ({"plus_input": [1]}, "lists of arguments"),
        ({"atol": "x"}, "'atol' must be a number"),
        ({"atol": float("inf")}, "'atol' must be a number"),
        ({"entry_point": "return"}, "must be the name of a function"),
        ({"prompt": '"""Write total."""\n'}, r"MBPP\+ is not supported"),
        ({"canonical_solution": None}, "'canonical_solution' must be a non-empty string"),
    ],
)
def test_bad_eval_plus_rows_are_named(tmp_path: Path, changed: dict[str, Any], reason: str) -> None:
    """One line states what was expected."""
    with pytest.raises(ManifestError, match=reason):
        read_problems(_write(tmp_path / "p.jsonl", {**PLUS, **changed}))


@pytest.mark.parametrize(
    "problem",
    [
        Problem("H/7", "def f():\n", "def check(f:\n", "f"),
        Problem("H/7", "import numpy\ndef f():\n", "def check(f): pass\n", "f"),
        Problem("H/7", "", "assert f() == 1", None, setup="1 / 0"),
    ],
    ids=["test", "prompt", "setup"],
)
def test_a_problem_with_a_broken_test_is_named(problem: Problem) -> None:
    """Before there are completions; afterwards such a failure does not end the run."""
    with pytest.raises(BadInput, match=r"H/7 \(its test (raises|is not valid Python)"):
        check_problems([problem])
    assert score_completions([problem], [["    return 1\n"]]).passed == {"H/7": 0}


def test_a_test_that_programs_could_not_pass_is_refused(tmp_path: Path) -> None:
    """A test that imports what the sandbox has not would fail every program, in silence."""
    row = {"task_id": "1", "prompt": "def f():\n", "entry_point": "f"}
    row["test"] = "import numpy as np\ndef check(f): pass\n"
    with pytest.raises(ManifestError, match="imports 'numpy'"):
        read_problems(_write(tmp_path / "p.jsonl", row))


def test_repetition_by_hand() -> None:
    """Of the five 4-grams of `a b a b a b a b`, two are distinct."""
    assert repetition("a b a b a b a b") == pytest.approx(3 / 5)
    assert repetition("return a + b") == 0
    assert repetition("") == 0
