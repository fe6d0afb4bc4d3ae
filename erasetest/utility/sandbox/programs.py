"""A program and its test, the limits that it runs under, and how it can end."""

# Not `types.py`: the fork server puts this folder first in `sys.path`, where a module of that name
# would shadow the one of the standard library.

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Program:
    """An untrusted program and its test, which exchange values and share nothing else.

    `code` is executed in one process. Then, in another process, `known` is executed, the objects
    named in `names` are imported from the program, and `test` is executed: calls run in the
    program's process and return plain data. The program passes if the test runs to its end.

    An object that is not plain data stays in its process. The other process can call it, iterate
    over it and read its attributes; it equals only itself. Arguments are passed by value: the test
    does not see in-place changes. `name` identifies the program in messages.
    """

    code: str
    test: str = ""
    names: tuple[str, ...] = ()
    known: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """Resources that one program may use.

    The CPU time is the decisive limit, because it hardly depends on the load of the machine. The
    wall limit ends programs that sleep; None is three times the CPU time plus 5 seconds.
    `cpu_seconds`, `memory_bytes` (address space) and `open_files` apply to each process of the
    program, `file_bytes` to each file and, with the layer "files", to all files together.
    """

    cpu_seconds: int = 3
    wall_seconds: float | None = None
    memory_bytes: int = 512 << 20
    file_bytes: int = 16 << 20
    open_files: int = 64
    processes: int = 16

    @property
    def wall(self) -> float:
        """Seconds after which the program is killed."""
        return 3 * self.cpu_seconds + 5 if self.wall_seconds is None else self.wall_seconds


class Outcome(Enum):
    """How a program ended. A program that could not be run has no outcome: `SandboxError`."""

    PASSED = "passed"
    """Its test ran to the end."""

    FAILED = "failed"
    """It raised, exited, crashed or exceeded its memory limit."""

    TIMEOUT = "timeout"
    """It exceeded its CPU time, or its wall time twice, the second time with no other program."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result of one run of a program.

    `settled` is False if the load of the machine may be the cause, so that the program is run again
    alone. `parses` is True if the program is valid Python. `fault` is the reason why it could not
    be run, if so. `peak_bytes` is the largest resident set size of its processes.
    """

    outcome: Outcome
    settled: bool = True
    parses: bool = False
    fault: str | None = None
    peak_bytes: int = 0
