"""Problem files in HumanEval and MBPP form."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from erasetest.errors import ManifestError
from erasetest.utility import Program
from erasetest.utility.problems import MBPP_STOP, STOP, cut, read_problems
from erasetest.utility.scoring import score_completions

HUMANEVAL: dict[str, Any] = {
    "task_id": "T/0",
    "prompt": "def one():\n",
    "entry_point": "one",
    "test": "def check(candidate):\n    assert candidate() == 1\n",
    "canonical_solution": "    return 1\n",
}
MBPP: dict[str, Any] = {
    "task_id": 7,
    "text": "Write a function that gives two.",
    "code": "def two():\n    return BASE + 1",
    "test_list": ["assert two() == 2", "assert two() != 3"],
    "test_setup_code": "BASE = 1",
}


def _write(path: Path, *rows: object) -> Path:
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows))
    return path


def test_humaneval_form(tmp_path: Path) -> None:
    """The program is prompt and completion; the test and the call of `check` are separate."""
    (problem,) = read_problems(_write(tmp_path / "p.jsonl", HUMANEVAL))
    assert problem.program("    return 1\n") == Program(
        code="def one():\n    return 1\n",
        test="def check(candidate):\n    assert candidate() == 1\n\ncheck(one)",
        names=("one",),
        known="def one():\n\n    pass\n",
        name="T/0",
    )
    assert problem.canonical_solution == "    return 1\n"
    assert problem.stop == STOP


def test_mbpp_form_runs_the_setup_code(tmp_path: Path) -> None:
    """The setup code precedes the completion in the program, and the test in its process."""
    (problem,) = read_problems(_write(tmp_path / "p.jsonl", MBPP))
    assert problem.task_id == "7"
    assert problem.prompt == (
        '"""\nWrite a function that gives two.\nassert two() == 2\nassert two() != 3\n"""\n'
    )
    assert problem.program(MBPP["code"]) == Program(
        code="BASE = 1\ndef two():\n    return BASE + 1\n",
        test="\nassert two() == 2\nassert two() != 3",
        names=("two",),
        known="BASE = 1",
        name="7",
    )
    assert problem.stop == MBPP_STOP


def test_gzip_and_blank_lines(tmp_path: Path) -> None:
    """A compressed file is read like a plain one; blank lines are counted and skipped."""
    path = tmp_path / "p.jsonl.gz"
    path.write_bytes(gzip.compress(("\n" + json.dumps(HUMANEVAL) + "\n\n").encode()))
    assert [problem.task_id for problem in read_problems(path)] == ["T/0"]


def _without(row: dict[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k != key}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{", "not valid JSON"),
        ("[1]", "expected a JSON object, got list"),
        ({}, "'entry_point' must be a non-empty string"),
        (_without(HUMANEVAL, "task_id"), "'task_id' must be"),
        (_without(HUMANEVAL, "prompt"), "'prompt' must be a non-empty string"),
        (_without(HUMANEVAL, "test"), "'test' must be a non-empty string"),
        ({**HUMANEVAL, "entry_point": "os.exit()"}, "'entry_point' must be the name"),
        ({**HUMANEVAL, "canonical_solution": 1}, "'canonical_solution' must be a string"),
        ({**HUMANEVAL, "task_id": True}, "'task_id' must be"),
        ({**MBPP, "test_list": []}, "'test_list' must be a non-empty list"),
        ({**MBPP, "test_list": [1]}, "'test_list' must be a non-empty list"),
        (_without(MBPP, "text"), "'text' must be a non-empty string"),
        (HUMANEVAL, "task_id 'T/0' is already used in line 1"),
    ],
)
def test_bad_line_is_named(tmp_path: Path, row: object, reason: str) -> None:
    """A bad line is refused with file, line number and reason."""
    path = _write(tmp_path / "p.jsonl", HUMANEVAL, row)
    with pytest.raises(ManifestError) as caught:
        read_problems(path)
    assert caught.value.line == 2
    assert reason in str(caught.value)
    assert str(path) in str(caught.value)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    """Missing, empty, binary and truncated files are refused in one line that names the file."""
    cut_off = gzip.compress(json.dumps(HUMANEVAL).encode())[:-9]
    damaged = cut_off[:12] + b"\xff" * 8 + cut_off[20:]
    for name, content in [
        ("e.jsonl", b"\n"),
        ("b.jsonl", b"\xff\xfe"),
        ("c.jsonl.gz", cut_off),
        ("d.jsonl.gz", damaged),
    ]:
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ManifestError, match=name):
            read_problems(path)
    with pytest.raises(ManifestError, match="cannot be read"):
        read_problems(tmp_path / "missing.jsonl")


@pytest.mark.parametrize("stop", STOP)
def test_cut_ends_at_each_stop(stop: str) -> None:
    """The stop and the text after it are dropped."""
    assert cut(f"    return 1{stop} more\n# more") == "    return 1"


def test_cut_takes_the_first_stop_and_can_be_repeated() -> None:
    """The first stop in the text counts, whatever its place in the list; indented code is kept."""
    text = "    def inner(): pass\n    # note\n    return 1\n@other\nclass A: pass"
    assert cut(text) == "    def inner(): pass\n    # note\n    return 1"
    assert cut(cut(text)) == cut(text)
    assert cut("    return 1") == "    return 1"


def test_mbpp_completions_keep_their_functions(tmp_path: Path) -> None:
    """A module may define several functions; an assertion that the CLM generates ends it."""
    (problem,) = read_problems(_write(tmp_path / "p.jsonl", MBPP))
    assert problem.cut("import re\ndef f(): pass\ndef g(): pass\nassert f()") == (
        "import re\ndef f(): pass\ndef g(): pass"
    )


def _passes(row: dict[str, Any], completion: str, tmp_path: Path) -> bool:
    problems = read_problems(_write(tmp_path / "p.jsonl", {**MBPP, "test_setup_code": "", **row}))
    return bool(score_completions(problems, [[completion]]).passed["7"])


def test_mbpp_setup_may_use_the_program(tmp_path: Path) -> None:
    """`root = Node(1)`, where the solution defines the class."""
    row = {"test_setup_code": "root = Node(3)", "test_list": ["assert depth(root) == 3"]}
    code = "class Node:\n    def __init__(self, n): self.n = n\ndef depth(node): return node.n\n"
    assert _passes(row, code, tmp_path)
    assert not _passes(row, code.replace("return node.n", "return 1"), tmp_path)


def test_mbpp_tests_get_their_modules_from_the_library(tmp_path: Path) -> None:
    """And not from the program; a function may have the name of a module."""
    row = {"test_list": ["assert math.isclose(f(1), 2.5)"]}
    assert _passes(row, "def f(x): return 2.5", tmp_path)
    fake = "class math:\n    isclose = lambda *a: True\ndef f(x): return 0"
    assert not _passes(row, fake, tmp_path)
    assert _passes({"test_list": ["assert select(1) == 2"]}, "def select(x): return 2", tmp_path)


@pytest.mark.parametrize("row", [{"test_list": ["assert f(1"]}, {"test_setup_code": "def"}])
def test_mbpp_tests_that_do_not_parse_are_refused(tmp_path: Path, row: dict[str, Any]) -> None:
    """With the line, and not when the first program runs."""
    with pytest.raises(ManifestError, match="not valid Python"):
        read_problems(_write(tmp_path / "p.jsonl", {**MBPP, **row}))
