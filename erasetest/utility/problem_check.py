"""Check problems before completions are generated.

A problem that no program can pass lowers pass@k of every CLM, and one that every program passes
raises it; neither is visible in the score. Both are detected here, in seconds:

- the canonical solution, if a problem has one, must pass;
- the test must use the program. It is run against a stub that ends the test at its first use, so a
  test that raises, exits, returns or times out before that is detected.

Without a canonical solution, a test that is broken after its first call of the program cannot be
distinguished from a test that a wrong program fails.
"""

from __future__ import annotations

import ast
import symtable
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from erasetest.errors import BadInput
from erasetest.support.progress import Progress
from erasetest.support.wording import first_of
from erasetest.utility.problems import Problem
from erasetest.utility.sandbox import Limits, Outcome, Program, run_programs

_PARSE_ERRORS = (SyntaxError, ValueError, RecursionError, MemoryError)
"""Exceptions that parsing raises where source is not valid Python."""

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
"""Source of an object that counts each use, and ends the test by it."""

_USED = """
try:
    exec(compile({test!r}, "<test>", "exec", dont_inherit=True), globals())
except BaseException:
    pass
if not _ErasetestStub.uses:
    raise AssertionError
"""
"""Source of a test that passes if the wrapped test used the stub, however it ended."""


def check_problems(
    problems: Sequence[Problem],
    *,
    limits: Limits | None = None,
    unsafe: bool = False,
    progress: Progress | None = None,
) -> None:
    """Refuse problems that give every program the same result.

    Args:
        problems: P problems.
        limits: what each program may use; the same as for completions.
        unsafe: run programs even if fewer layers of the sandbox are available than is safe.
        progress: called with the number of programs run and the number of all, up to 2 P.

    Raises:
        BadInput: some problems are unusable; up to five are named, each with the reason.
        SandboxError: this machine cannot run programs safely, or one could not be run.
    """
    limits = limits or Limits()
    reasons = {problem.task_id: _unusable(problem) for problem in problems}
    runnable = [problem for problem in problems if reasons[problem.task_id] is None]
    reasons |= _unusable_when_run(runnable, limits, unsafe=unsafe, progress=progress)
    broken = [f"{name} ({reason})" for name, reason in reasons.items() if reason is not None]
    if broken:
        raise BadInput(
            f"{len(broken)} of {len(problems)} problems would give every program the same result: "
            f"{first_of(broken)}: fix them, or leave them out"
        )


def _unusable_when_run(
    problems: Sequence[Problem], limits: Limits, *, unsafe: bool, progress: Progress | None
) -> dict[str, str | None]:
    """Run each problem; return why it cannot judge a program, or None, by its id."""
    solved = [problem for problem in problems if _solution(problem) is not None]
    programs = [_with_stub(problem) for problem in problems]
    programs += [problem.program(_solution(problem) or "") for problem in solved]
    attempts = run_programs(programs, limits=limits, unsafe=unsafe, progress=progress)
    outcomes = [attempt.outcome for attempt in attempts]
    of_stub, of_solution = outcomes[: len(problems)], outcomes[len(problems) :]
    by_solution = dict(zip((problem.task_id for problem in solved), of_solution, strict=True))
    return {
        problem.task_id: _reason(stub, by_solution.get(problem.task_id), limits)
        for problem, stub in zip(problems, of_stub, strict=True)
    }


def _reason(stub: Outcome, solution: Outcome | None, limits: Limits) -> str | None:
    """Return why a problem is unusable, from the outcomes of its stub and canonical solution."""
    too_long = f"takes longer than the limit of {limits.cpu_seconds} s of CPU time"
    if stub is Outcome.FAILED:
        return "its test raises, exits or returns before it uses the program"
    if stub is Outcome.TIMEOUT:
        return f"its test {too_long} before it uses the program"
    if solution is Outcome.TIMEOUT:
        return f"its canonical solution {too_long}"
    if solution is Outcome.FAILED:
        return "its canonical solution does not pass its test"
    return None


def _with_stub(problem: Problem) -> Program:
    """Return a program that passes if the problem's test uses the program."""
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
    """Return why a problem cannot judge a program, as far as its source shows; None otherwise."""
    if problem.entry_point is None:
        return None
    try:
        if "check" not in _bound_names(problem.test) and not _binds_dynamically(problem.test):
            return "its test defines no function 'check'"
    except _PARSE_ERRORS:
        return "its test is not valid Python"
    undefined = f"nothing defines its entry point '{problem.entry_point}'"
    solution = _solution(problem)
    if solution is None:
        return undefined if _begins_another(problem.prompt, problem.entry_point) else None
    source = problem.prompt + solution
    try:
        defined = problem.entry_point in _bound_names(source) or _binds_dynamically(source)
    except _PARSE_ERRORS:
        return "its prompt with its canonical solution is not valid Python"
    return None if defined else undefined


def _solution(problem: Problem) -> str | None:
    """Return the canonical solution; None if it is missing or blank."""
    given = problem.canonical_solution
    return given if given is not None and given.strip() else None


def _bound_names(source: str) -> set[str]:
    """Return the names that a module with this source binds."""
    table = symtable.symtable(source, "problem", "exec")
    bound = {each.get_name() for each in table.get_symbols() if each.is_assigned()}
    bound |= {each.get_name() for each in table.get_symbols() if each.is_imported()}
    return bound | {each.get_name() for each in table.get_symbols() if each.is_namespace()}


def _binds_dynamically(source: str) -> bool:
    """Return whether source may bind names that a static analysis does not find."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            return True
        if isinstance(node, ast.Name) and node.id in {"exec", "globals", "setattr", "vars"}:
            return True
        if isinstance(node, ast.Global):
            return True
    return False


def _begins_another(prompt: str, entry_point: str) -> bool:
    """Return whether a prompt ends in the head of a function other than `entry_point`."""
    for end in ("", "\n    pass\n"):
        with suppress(*_PARSE_ERRORS):
            body = ast.parse(prompt + end).body
            if not body or not isinstance(body[-1], ast.FunctionDef | ast.AsyncFunctionDef):
                return False
            last = body[-1].body
            unfinished = len(last) == 1 and isinstance(last[0], ast.Expr | ast.Pass)
            return unfinished and entry_point not in _bound_names(prompt + end)
    return False
