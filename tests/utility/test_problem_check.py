"""Problems that give every program the same result are named before anything is generated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import erasetest
from gate_runs import SUITES, run_pytest

from erasetest.errors import BadInput
from erasetest.utility import Limits, Problem, check_problems

LIMITS = Limits(cpu_seconds=1, wall_seconds=2)
PROMPT = "def double(x):\n"
CHECK = "def check(candidate):\n    assert candidate(2) == 4\n"
SOUND = Problem("sound", PROMPT, CHECK, "double", "    return 2 * x\n")
UNSOLVED = replace(SOUND, canonical_solution=None)

BROKEN = {
    "its test raises": (
        replace(UNSOLVED, test="def check(candidate):\n    raise ValueError\n"),
        "its test raises, exits or returns before it uses the program",
    ),
    "its test raises while it is read": (
        replace(UNSOLVED, test=f"{CHECK}1 / 0\n"),
        "its test raises, exits or returns before it uses the program",
    ),
    "its test exits": (
        replace(UNSOLVED, test="def check(candidate):\n    raise SystemExit(0)\n"),
        "its test raises, exits or returns before it uses the program",
    ),
    "its test passes whatever there is": (
        replace(SOUND, test="def check(candidate):\n    pass\n"),
        "its test raises, exits or returns before it uses the program",
    ),
    "its test takes no program": (
        replace(UNSOLVED, test="def check():\n    assert double(2) == 4\n"),
        "its test raises, exits or returns before it uses the program",
    ),
    "its test never ends": (
        replace(UNSOLVED, test="def check(candidate):\n    while True:\n        pass\n"),
        r"its test takes longer than the limit of 1 s of CPU time before it uses",
    ),
    "its test defines no check": (
        replace(UNSOLVED, test="def test(candidate):\n    assert candidate(2) == 4\n"),
        "its test defines no function 'check'",
    ),
    "its test is not valid Python": (
        replace(UNSOLVED, test="def check(:\n"),
        "its test is not valid Python",
    ),
    "its prompt begins another function": (
        replace(UNSOLVED, entry_point="triple"),
        "nothing defines its entry point 'triple'",
    ),
    "its prompt, with a docstring, begins another function": (
        replace(UNSOLVED, prompt=f'{PROMPT}    """Double."""\n', entry_point="triple"),
        "nothing defines its entry point 'triple'",
    ),
    "its solution defines another function": (
        replace(SOUND, entry_point="triple"),
        "nothing defines its entry point 'triple'",
    ),
    "its solution is wrong": (
        replace(SOUND, canonical_solution="    return x\n"),
        "its canonical solution does not pass its test",
    ),
    "its solution is not valid Python": (
        replace(SOUND, canonical_solution="    return )\n"),
        "its prompt with its canonical solution is not valid Python",
    ),
    "its solution takes too long": (
        replace(SOUND, canonical_solution="    while True:\n        pass\n"),
        r"its canonical solution takes longer than the limit of 1 s of CPU time",
    ),
    "a test of MBPP raises": (
        Problem("sound", "", "assert len(7) == double(2)"),
        "its test raises, exits or returns before it uses the program",
    ),
    "a solution of MBPP is wrong": (
        Problem("sound", "", "assert double(2) == 4", None, "def double(x):\n    return x\n"),
        "its canonical solution does not pass its test",
    ),
}


@pytest.mark.parametrize(("problem", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_a_problem_that_cannot_judge_is_named(problem: Problem, reason: str) -> None:
    """With the reason, and what to do."""
    with pytest.raises(BadInput, match=rf"^1 of 1 .* sound \({reason}.*fix them, or leave them"):
        check_problems([problem], limits=LIMITS)


USABLE = {
    "solved": SOUND,
    "unsolved": UNSOLVED,
    "solution of white space": replace(SOUND, canonical_solution=" \n"),
    "swallows what the program raises": replace(
        UNSOLVED,
        test="def check(candidate):\n    try:\n        candidate(2)\n    except:\n        pass\n",
    ),
    "begins with a future import": replace(
        UNSOLVED, test=f"from __future__ import annotations\n{CHECK}"
    ),
    "imports its check": replace(UNSOLVED, test="from doctest import *\ncheck = eval('len')\n"),
    "asks for a method": replace(
        UNSOLVED, test="def check(candidate):\n    assert candidate.four == 4\n"
    ),
    "derives from a class": replace(
        UNSOLVED, test="def check(candidate):\n    class Mine(candidate):\n        pass\n"
    ),
    "prompt is a text": replace(UNSOLVED, prompt='"""Write double."""\n'),
    "prompt is a helper": replace(UNSOLVED, prompt="def half(x):\n    return x / 2\n\n"),
    "MBPP": Problem("m", "", 'text = """\n"""\nassert double(2) == 4', None),
    "MBPP, solved": Problem(
        "m", "", "assert double(2) == 4", None, "def double(x):\n    return 2 * x\n"
    ),
}


def test_problems_that_can_judge_are_accepted() -> None:
    """Whatever form their tests have; progress counts two programs per solved problem."""
    told: list[tuple[int, int]] = []
    usable = [replace(problem, task_id=name) for name, problem in USABLE.items()]
    check_problems(usable, limits=LIMITS, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (len(usable) + 2, len(usable) + 2)


def test_all_are_counted_and_few_are_named() -> None:
    """In the order of the file."""
    broken = [replace(UNSOLVED, task_id=f"t/{n}", test="x = 1\n") for n in range(9)]
    with pytest.raises(BadInput) as caught:
        check_problems([SOUND, *broken], limits=LIMITS)
    said = str(caught.value)
    assert said.startswith(
        "9 of 10 problems would give every program the same result: t/0 (its test"
    )
    assert "t/4 (" in said
    assert "t/5 (" not in said
    assert " and 4 more: fix them" in said


def _file(path: Path, **changed: str) -> Path:
    row = {"task_id": "t/1", "prompt": PROMPT, "entry_point": "double", "test": CHECK, **changed}
    path.write_text(json.dumps(row) + "\n")
    return path


def test_the_command_names_it_before_a_clm_is_loaded(tmp_path: Path) -> None:
    """With status 2; also if completions are given."""
    _file(tmp_path / "p.jsonl", canonical_solution="    return x\n")
    (tmp_path / "c.jsonl").write_text('{"task_id": "t/1", "completion": "    return 2 * x"}\n')
    (tmp_path / "clm").mkdir()
    (tmp_path / "clm" / "config.json").write_text("is never read")
    for source in (["--clm", "clm"], ["--completions", "c.jsonl"]):
        done = erasetest("utility", "p.jsonl", *source, "-o", "u.json", cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert "t/1 (its canonical solution does not pass its test)" in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert not (tmp_path / "u.json").exists()


def test_the_gate_names_it_before_a_clm_is_loaded(leaking: Path, tmp_path: Path) -> None:
    """With status 4."""
    problems = _file(tmp_path / "p.jsonl", test="def check(candidate):\n    1 / 0\n")
    done = run_pytest(
        str(SUITES), f"--clm={leaking / 'clm'}", f"--leak-samples={leaking / 'samples.jsonl'}",
        f"--utility={problems}", f"--utility-against={leaking / 'clm'}", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 4, done.stdout
    assert "t/1 (its test raises, exits or returns before it uses" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_completions_need_no_clm(tmp_path: Path) -> None:
    """The report then names their file; without both there is nothing to measure."""
    _file(tmp_path / "p.jsonl")
    (tmp_path / "c.jsonl").write_text('{"task_id": "t/1", "completion": "    return 2 * x"}\n')
    asked = ["utility", "p.jsonl", "-o", "u.json"]
    for more, name in (([], "c.jsonl"), (["--clm", "mine"], "mine")):
        done = erasetest(*asked, "--completions", "c.jsonl", *more, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        report = json.loads((tmp_path / "u.json").read_text())
        assert report["pass@1"] == 1
        assert report["clm"] == {"clm": name}
    done = erasetest(*asked, cwd=tmp_path)
    assert done.returncode == 2
    assert "give --clm MODEL, or --completions FILE" in done.stderr
