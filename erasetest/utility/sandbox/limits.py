"""What a program may use, and how it may end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """How a program ended. A program that could not be run has no outcome: it raises."""

    PASSED = "passed"
    """It came to its end: its check returned."""

    FAILED = "failed"
    """It raised, exited, crashed or used more memory than it may."""

    TIMEOUT = "timeout"
    """It used up its CPU time, or its wall time twice, the second time alone on the machine."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use.

    CPU time is the limit that counts, since it does not depend on what else the machine does. The
    wall limit is there for programs that sleep; None is three times the CPU time and 5 seconds.
    `cpu_seconds`, `memory_bytes` (of address space) and `open_files` hold for each process of the
    program, `file_bytes` for each file and, where the layer "files" is active, for all together.
    """

    cpu_seconds: int = 3
    wall_seconds: float | None = None
    memory_bytes: int = 512 << 20
    file_bytes: int = 16 << 20
    open_files: int = 64
    processes: int = 16

    @property
    def wall(self) -> float:
        """Seconds after which the program is killed, whatever it did."""
        return 3 * self.cpu_seconds + 5 if self.wall_seconds is None else self.wall_seconds
