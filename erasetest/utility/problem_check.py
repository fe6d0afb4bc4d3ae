"""Check problems before any completion of them is generated.

A problem that no program can pass counts against every CLM, and one that every program passes
counts for every CLM; neither shows in pass@k. Both are found here, in seconds, with the programs
that are known beforehand:

- the canonical solution, where a problem has one, must pass;
- the test must ask the program for something. It is run against a stub that ends it at its first
  use, so that a test that raises, exits, returns or runs out of time before that is told apart.

Without a canonical solution, a test that goes wrong only after it has called the program cannot be
told from one that a wrong program fails.
"""

from __future__ import annotations

import ast
import symtable
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from erasetest.errors import BadInput
from erasetest.utility.problems import Problem
from erasetest.utility.sandbox import Limits, Outcome, Program, run_programs

_NAMED = 5
"""Problems that a message names; it counts all."""

_NOT_PYTHON = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What parsing raises."""

_STUB = """
class _ErasetestAsked(BaseException):
    pass

class _ErasetestStub:
    uses = 0

def _erasetest_use(*arguments, **named):
    _ErasetestStub.uses += 1
    raise _ErasetestAsked

for _erasetest_name in (
    "call getattr iter next len getitem contains bool str repr format hash int float index "
    "eq ne lt le gt ge add radd sub rsub mul rmul truediv neg enter aenter await aiter "
    "mro_entries instancecheck subclasscheck"
).split():
    setattr(_ErasetestStub, f"__{_erasetest_name}__", _erasetest_use)
"""
"""An object whose every use is counted and ends the test."""

_USED = """
try:
    exec(compile({test!r}, "<test>", "exec", dont_inherit=True), globals())
except BaseException:
    pass
if not _ErasetestStub.uses:
    raise AssertionError
"""
"""Passes if the test used the stub, however the test ended."""

Progress = Callable[[int, int], None]


def check_problems(
    problems: Sequence[Problem],
    *,
    limits: Limits | None = None,
    unsafe: bool = False,
    progress: Progress | None = None,
) -> None:
    """Refuse problems that judge every program alike, whatever it does.

    Args:
        problems: P problems.
        limits: what each program may use, as it will be for completions.
        unsafe: see `run_programs`.
        progress: called with the number of programs run and the number of all, up to 2 P.

    Raises:
        BadInput: naming problems, the reason for each, and what to do.
        SandboxError: see `run_programs`.
    """
    limits = limits or Limits()
    reasons = {problem.task_id: _unusable(problem) for problem in problems}
    runnable = [problem for problem in problems if reasons[problem.task_id] is None]
    reasons |= _observed(runnable, limits, unsafe=unsafe, progress=progress)
    broken = [f"{name} ({reason})" for name, reason in reasons.items() if reason is not None]
    if broken:
        more = f", and {len(broken) - _NAMED} more" if len(broken) > _NAMED else ""
        raise BadInput(
            f"{len(broken)} of {len(problems)} problems would judge every program alike: "
            f"{', '.join(broken[:_NAMED])}{more}: mend them, or leave them out"
        )


def _observed(
    problems: Sequence[Problem], limits: Limits, *, unsafe: bool, progress: Progress | None
) -> dict[str, str | None]:
    """Why each problem cannot judge a program, as far as running it shows; by its id."""
    solved = [problem for problem in problems if _solution(problem) is not None]
    programs = [_asking(problem) for problem in problems]
    programs += [problem.program(_solution(problem) or "") for problem in solved]
    attempts = run_programs(programs, limits=limits, unsafe=unsafe, progress=progress)
    outcomes = [attempt.outcome for attempt in attempts]
    of_stub, of_solution = outcomes[: len(problems)], outcomes[len(problems) :]
    by_solution = dict(zip((problem.task_id for problem in solved), of_solution, strict=True))
    return {
        problem.task_id: _reason(asked, by_solution.get(problem.task_id), limits)
        for problem, asked in zip(problems, of_stub, strict=True)
    }


def _reason(asked: Outcome, passed: Outcome | None, limits: Limits) -> str | None:
    """What two runs say of a problem: of its test with a stub, and of its canonical solution."""
    too_long = f"takes longer than a program may ({limits.cpu_seconds} s of CPU time)"
    if asked is Outcome.FAILED:
        return "its test raises, exits or returns before it asks the program for anything"
    if asked is Outcome.TIMEOUT:
        return f"its test {too_long} before it asks the program for anything"
    if passed is Outcome.TIMEOUT:
        return f"its canonical solution {too_long}"
    if passed is Outcome.FAILED:
        return "its canonical solution does not pass its test"
    return None


def _asking(problem: Problem) -> Program:
    """What passes if the problem's test asks the program for something."""
    program = problem.program("")
    stubs = "".join(f"{name} = _ErasetestStub()\n" for name in program.names)
    return replace(
        program,
        code="",
        names=(),
        known=f"{program.known}\n{_STUB}{stubs}",
        test=_USED.format(test=program.test),
    )


def _unusable(problem: Problem) -> str | None:
    """Why the problem cannot judge a program, as far as its source shows."""
    if problem.entry_point is None:
        return None
    try:
        if "check" not in _bound(problem.test) and not _binds_unseen(problem.test):
            return "its test defines no function 'check'"
    except _NOT_PYTHON:
        return "its test is no Python"
    undefined = f"nothing defines its entry point '{problem.entry_point}'"
    solution = _solution(problem)
    if solution is None:
        return undefined if _begins_another(problem.prompt, problem.entry_point) else None
    whole = problem.prompt + solution
    try:
        defined = problem.entry_point in _bound(whole) or _binds_unseen(whole)
    except _NOT_PYTHON:
        return "its prompt with its canonical solution is no Python"
    return None if defined else undefined


def _solution(problem: Problem) -> str | None:
    """The canonical solution; None where there is none, or only white space in its place."""
    given = problem.canonical_solution
    return given if given is not None and given.strip() else None


def _bound(source: str) -> set[str]:
    """The names that a module of this source gives a value."""
    table = symtable.symtable(source, "problem", "exec")
    bound = {each.get_name() for each in table.get_symbols() if each.is_assigned()}
    bound |= {each.get_name() for each in table.get_symbols() if each.is_imported()}
    return bound | {each.get_name() for each in table.get_symbols() if each.is_namespace()}


def _binds_unseen(source: str) -> bool:
    """Whether source may give names a value in ways that cannot be read off it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            return True
        if isinstance(node, ast.Name) and node.id in {"exec", "globals", "setattr", "vars"}:
            return True
        if isinstance(node, ast.Global):
            return True
    return False


def _begins_another(prompt: str, entry_point: str) -> bool:
    """Whether a prompt ends in the head of a function, and does not define `entry_point`."""
    for end in ("", "\n    pass\n"):
        with suppress(*_NOT_PYTHON):
            body = ast.parse(prompt + end).body
            if not body or not isinstance(body[-1], ast.FunctionDef | ast.AsyncFunctionDef):
                return False
            begun = body[-1].body
            unfinished = len(begun) == 1 and isinstance(begun[0], ast.Expr | ast.Pass)
            return unfinished and entry_point not in _bound(prompt + end)
    return False
