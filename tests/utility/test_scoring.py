"""From completions to a score."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from erasetest.errors import BadInput
from erasetest.utility.problems import Problem, read_problems
from erasetest.utility.sandbox import Limits, sandbox_layers
from erasetest.utility.scoring import UtilityScore, score_completions

HUMANEVAL = Path(__file__).parents[3] / "shared" / "data" / "HumanEval.jsonl.gz"

CHECK = "def check(candidate):\n    assert candidate(2) == 4\n"
PROBLEMS = [
    Problem("T/0", "def square(x):\n", CHECK, "square"),
    Problem("T/1", "def double(x):\n", CHECK, "double"),
]


def test_counts_and_rates() -> None:
    """Each completion is counted once, timeouts separately from failures."""
    done: list[tuple[int, int]] = []
    score = score_completions(
        PROBLEMS,
        [
            ["    return x * x", "    return x"],
            ["    while True: pass", "    return x + x"],
        ],
        limits=Limits(cpu_seconds=1),
        progress=lambda now, total: done.append((now, total)),
    )
    assert score.passed == {"T/0": 1, "T/1": 1}
    assert score.outcomes == {"passed": 2, "failed": 1, "timeout": 1}
    assert score.pass_at_k == {"pass@1": 0.5}
    assert score.layers == sandbox_layers()
    assert done[-1] == (4, 4)
    assert UtilityScore.from_dict(json.loads(json.dumps(score.as_dict()))) == score


def test_mbpp_problem_is_run_with_its_setup_code(tmp_path: Path) -> None:
    """An MBPP row is read, run and scored."""
    code = "def two():\n    return BASE + 1"
    row = {
        "task_id": 1,
        "text": "Two.",
        "code": code,
        "test_list": ["assert two() == 2"],
        "test_setup_code": "BASE = 1",
    }
    path = tmp_path / "mbpp.jsonl"
    path.write_text(json.dumps(row))
    problems = read_problems(path)
    assert score_completions(problems, [[code, "def two(): return 3"]]).passed == {"1": 1}


@pytest.mark.parametrize(
    ("problems", "completions", "reason"),
    [
        ([], [], "at least one problem"),
        (PROBLEMS, [["a"]], "1 lists of completions given for 2 problems"),
        (PROBLEMS, [["a"], ["a", "b"]], "T/1 has 2 completions"),
        (PROBLEMS, [[], []], "T/0 has 0 completions"),
    ],
)
def test_uneven_completions_are_refused(
    problems: list[Problem], completions: list[list[str]], reason: str
) -> None:
    """pass@k needs the same number of samples for each problem."""
    with pytest.raises(BadInput, match=reason):
        score_completions(problems, completions)


@pytest.mark.skipif(not HUMANEVAL.exists(), reason="HumanEval is not in ../shared/data")
def test_all_canonical_humaneval_solutions_pass() -> None:
    """The sandbox breaks no correct program, and `cut` shortens none."""
    problems = read_problems(HUMANEVAL)
    assert len(problems) == 164
    solutions = [problem.canonical_solution or "" for problem in problems]
    assert [p.cut(s) for p, s in zip(problems, solutions, strict=True)] == solutions
    score = score_completions(problems, [[solution] for solution in solutions])
    assert {task for task, passed in score.passed.items() if not passed} == set()


UNTESTED = {"HumanEval/137"}
"""Problems whose tests never compare the result of the last `return`."""


@pytest.mark.skipif(not HUMANEVAL.exists(), reason="HumanEval is not in ../shared/data")
def test_all_canonical_humaneval_solutions_fail_when_broken_by_one_token() -> None:
    """`return` becomes `return not`, once in each: none of the 164 passes, each is Python."""
    problems = read_problems(HUMANEVAL)
    broken = []
    for problem in problems:
        solution = problem.canonical_solution or ""
        returns = [found.end() for found in re.finditer(r"\breturn ", solution)]
        place = returns[0 if problem.task_id in UNTESTED else -1]
        broken.append([solution[:place] + "not " + solution[place:]])
    score = score_completions(problems, broken)
    assert score.outcomes == {"passed": 0, "failed": 164, "timeout": 0}
    assert score.texts["parse"] == 1


@pytest.mark.skipif(not HUMANEVAL.exists(), reason="HumanEval is not in ../shared/data")
def test_empty_humaneval_bodies_fail() -> None:
    """A body that returns nothing solves no problem."""
    problems = read_problems(HUMANEVAL)[::8]
    assert score_completions(problems, [["    return None\n"]] * len(problems)).pass_at_k == {
        "pass@1": 0
    }
