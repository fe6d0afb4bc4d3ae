"""Programming problems, and the programs that test a completion."""

from __future__ import annotations

import ast
import builtins
import functools
import json
import keyword
import math
import symtable
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from erasetest.errors import ManifestError
from erasetest.support.json_lines import rows
from erasetest.utility.sandbox import Program

STOP = ("\nclass", "\ndef", "\n#", "\n@", "\nprint", "\nif", "```")
"""Stop sequences of a completion of a HumanEval prompt, which is the body of a function."""

MBPP_STOP = ("\nassert", '\n"""', "\nprint", "\nif", "```")
"""Stop sequences of a completion of an MBPP prompt, which is a whole module."""

_LIBRARY = sys.stdlib_module_names


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem. The two forms differ in what a completion is.

    HumanEval: the rest of the function that the prompt begins; `test` defines `check(candidate)`.
    MBPP (`entry_point` is None): a whole module; `test` is its assertions, `setup` is code that
    runs before them.

    `known` is source that the test process runs before the test, besides what it imports from the
    program; None for the prompt.
    """

    task_id: str
    prompt: str
    test: str
    entry_point: str | None = None
    canonical_solution: str | None = None
    setup: str = ""
    stop: tuple[str, ...] = STOP
    known: str | None = None

    def program(self, completion: str, *, whole: bool = False) -> Program:
        """Return a program that passes if the completion solves the problem.

        `whole` completions include what the prompt defines.
        """
        if self.entry_point is None:
            # A setup that uses no name of the program runs on both sides; another runs after it.
            ahead = "" if _free_names(self.setup) else self.setup
            after = "" if ahead else self.setup
            test = f"{after}\n{self.test}"
            names = _free_names(f"{self.setup}\n{self.test}")
            known = "\n".join([ahead, *(f"import {name}" for name in _modules(test))])
            return Program(f"{ahead}\n{completion}\n", test, names, known, self.task_id)
        # A test may use other definitions of the prompt: from its own copy, which the program
        # cannot change.
        return Program(
            completion if whole else self.prompt + completion,
            f"{self.test}\ncheck({self.entry_point})",
            (self.entry_point,),
            _as_module(self.prompt) if self.known is None else self.known,
            self.task_id,
        )

    def cut(self, completion: str) -> str:
        """Return the completion up to the first stop sequence of this problem."""
        return cut(completion, self.stop)


@functools.cache
def _free_names(source: str) -> tuple[str, ...]:
    """Return the names that source uses, which are neither defined in it nor built in."""
    table = symtable.symtable(source, "test", "exec")
    used: set[str] = set()
    tables = [table]
    while tables:
        each = tables.pop()
        tables += each.get_children()
        used |= {name.get_name() for name in each.get_symbols() if name.is_global()}
        if each is table:
            used |= {name.get_name() for name in each.get_symbols() if name.is_referenced()}
    own = {name.get_name() for name in table.get_symbols() if name.is_assigned()}
    own |= {name.get_name() for name in table.get_symbols() if name.is_imported()}
    return tuple(sorted(used - own - set(dir(builtins)) - set(_modules(source))))


@functools.cache
def _modules(source: str) -> tuple[str, ...]:
    """Return the standard modules that source uses without an import, by their attributes alone.

    A test that forgets such an import means the module, not a name of the program.
    """
    nodes = list(ast.walk(ast.parse(source)))
    bases = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    is_base: dict[str, set[bool]] = {}
    for node in nodes:
        if isinstance(node, ast.Name):
            is_base.setdefault(node.id, set()).add(id(node) in bases)
    return tuple(sorted(n for n, uses in is_base.items() if uses == {True} and n in _LIBRARY))


@functools.cache
def _as_module(prompt: str) -> str:
    """Return a prompt as valid source: the function that it begins gets a body if it has none."""
    for end in ("", "\n    pass\n"):
        with suppress(SyntaxError, ValueError):
            compile(prompt + end, "prompt", "exec", dont_inherit=True)
            return prompt + end
    return ""


def cut(completion: str, stop: Iterable[str] = STOP) -> str:
    """Return the completion up to the first stop sequence; all of it if it has none."""
    positions = (completion.find(text) for text in stop)
    return completion[: min((position for position in positions if position >= 0), default=None)]


def read_problems(path: str | Path) -> list[Problem]:
    """Read problems from a JSONL file, plain or `.gz`, in HumanEval, EvalPlus or MBPP form.

    HumanEval: `task_id`, `prompt`, `entry_point`, `test`, and optionally `canonical_solution`.
    EvalPlus: `base_input` and `plus_input` in place of `test`; `canonical_solution` computes the
    expected results; `atol` is the tolerance of floats.
    MBPP: `task_id`, `text`, `test_list`, and optionally `code` and `test_setup_code`.
    Other keys are ignored.

    Raises:
        ManifestError: the file cannot be read, has no problem, or a line has none of these forms.
    """
    problems: list[Problem] = []
    lines: dict[str, int] = {}
    for line, row in rows(Path(path)):
        read = _mbpp if "test_list" in row else _evalplus if "plus_input" in row else _humaneval
        try:
            problem = read(row)
        except _BadRow as bad:
            raise ManifestError(path, line, str(bad)) from None
        if problem.task_id in lines:
            first = lines[problem.task_id]
            reason = f"task_id {problem.task_id!r} is already used in line {first}"
            raise ManifestError(path, line, reason)
        lines[problem.task_id] = line
        problems.append(problem)
    if not problems:
        raise ManifestError(path, None, "has no problem: expected one JSON object per line")
    return problems


class _BadRow(Exception):
    """The reason why a row is not a problem."""


def _humaneval(row: dict[str, Any]) -> Problem:
    entry_point, prompt, test = _entry_point(row), _text(row, "prompt"), _text(row, "test")
    for name in _imported(test):
        if name not in _LIBRARY:
            raise _BadRow(
                f"its test imports {name[:40]!r}, which is not available in the sandbox: give "
                "EvalPlus problems in the form with 'base_input' and 'plus_input'"
            )
    return Problem(
        task_id=_task_id(row),
        prompt=prompt,
        test=test,
        entry_point=entry_point,
        canonical_solution=_optional_text(row, "canonical_solution"),
    )


_CHECK = """
def _same(out, expected, tolerance):
    if out == expected:
        return True
    if tolerance == 0:
        floats = expected if isinstance(expected, (list, tuple)) else [expected]
        tolerance = 1e-6 if floats and all(isinstance(each, float) for each in floats) else 0
    if tolerance == 0 or type(out) is not type(expected):
        return False
    if isinstance(expected, (list, tuple)):
        return len(out) == len(expected) and all(map(_near(tolerance), out, expected))
    return _near(tolerance)(out, expected)

def _near(tolerance):
    def near(out, expected):
        try:
            if out == expected:
                return True
            # Any number is within a fraction of infinity.
            off, size = abs(out - expected), abs(expected)
            return size != float("inf") and off <= tolerance + 1e-7 * size
        except TypeError:
            return False
    return near

def check(candidate):
    for arguments, expected in zip(_inputs, _expected):
        out = candidate(*arguments)
        if _is_root:
            assert abs(_poly(*arguments, out)) <= _tolerance
        else:
            assert _same(out, expected, _tolerance)
"""


def _evalplus(row: dict[str, Any]) -> Problem:
    """Return a problem whose test compares as EvalPlus does: equal, or near for floats.

    The canonical solution computes the expected results before the program is called. For
    `find_zero` any root is accepted.
    """
    entry_point, prompt = _entry_point(row), _text(row, "prompt")
    if f"def {entry_point}" not in prompt:
        raise _BadRow(
            "its prompt does not define 'entry_point': MBPP+ is not supported (its inputs have "
            "types that JSON does not have, and some comparisons are special)"
        )
    inputs = [*_list(row, "base_input"), *_list(row, "plus_input")]
    if not all(isinstance(each, list) for each in inputs):
        raise _BadRow("'base_input' and 'plus_input' must be lists of lists of arguments")
    tolerance = row.get("atol") or 0
    if not isinstance(tolerance, (int, float)) or not math.isfinite(tolerance):
        raise _BadRow("'atol' must be a number")
    known = f"""{prompt}{_text(row, "canonical_solution")}
import copy as _copy, json as _json
_inputs, _tolerance = _json.loads({json.dumps(inputs)!r}), {tolerance!r}
_expected = [{entry_point}(*_copy.deepcopy(arguments)) for arguments in _inputs]
_is_root = {entry_point == "find_zero"}
_poly = globals().get("poly")
"""
    return Problem(
        task_id=_task_id(row),
        prompt=prompt,
        test=_CHECK,
        entry_point=entry_point,
        canonical_solution=_text(row, "canonical_solution"),
        known=known,
    )


def _list(row: dict[str, Any], key: str) -> list[Any]:
    given = row.get(key)
    if not isinstance(given, list):
        raise _BadRow(f"{key!r} must be a list")
    return given


def _mbpp(row: dict[str, Any]) -> Problem:
    tests = row["test_list"]
    if not isinstance(tests, list) or not tests or not all(isinstance(t, str) for t in tests):
        raise _BadRow("'test_list' must be a non-empty list of strings")
    assertions = "\n".join(tests)
    _parsed(f"{_optional_text(row, 'test_setup_code') or ''}\n{assertions}")
    return Problem(
        task_id=_task_id(row),
        prompt=f'"""\n{_text(row, "text")}\n{assertions}\n"""\n',
        test=assertions,
        canonical_solution=_optional_text(row, "code"),
        setup=_optional_text(row, "test_setup_code") or "",
        stop=MBPP_STOP,
    )


def _entry_point(row: dict[str, Any]) -> str:
    given = _text(row, "entry_point")
    if not given.isidentifier() or keyword.iskeyword(given):
        raise _BadRow("'entry_point' must be the name of a function")
    return given


def _imported(source: str) -> set[str]:
    """Return the top-level modules that source imports."""
    nodes = list(ast.walk(_parsed(source)))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names if name}


def _parsed(source: str) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _BadRow("its test is not valid Python") from None


def _task_id(row: dict[str, Any]) -> str:
    given = row.get("task_id")
    if type(given) is int:
        return str(given)
    if not isinstance(given, str) or not given or not given.isprintable():
        raise _BadRow("'task_id' must be an integer or a non-empty printable string")
    return given


def _text(row: dict[str, Any], key: str) -> str:
    given = row.get(key)
    if not isinstance(given, str) or not given:
        raise _BadRow(
            f"{key!r} must be a non-empty string: expected HumanEval form (task_id, prompt, "
            "entry_point, test) or MBPP form (task_id, text, test_list)"
        )
    return given


def _optional_text(row: dict[str, Any], key: str) -> str | None:
    given = row.get(key)
    if given is not None and not isinstance(given, str):
        raise _BadRow(f"{key!r} must be a string")
    return given
