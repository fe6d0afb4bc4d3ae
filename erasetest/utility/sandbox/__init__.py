"""Runs untrusted programs under layers of isolation, and reports whether they passed their tests.

A program and its test run in two processes that exchange values and share nothing else
(`inside/tester.py`). The outcome is computed outside: a program has passed if the parent receives a
nonce that the test's process writes after the last line of the test.

Not prevented:

- Exploits of kernel bugs through the remaining system calls.
- What a missing layer is for: see `LAYERS`. `UtilityScore.layers` records the active layers, and
  `pool.required_layers` refuses to run programs with too few of them.
- Timing side channels between programs.
- Wrong answers where a test passes the expected value to an object of the program:
  `f(1).startswith(X)`, where `f` returns an object with such a method instead of a string.
"""

from __future__ import annotations

from erasetest.utility.sandbox.layers import LAYERS, sandbox_layers
from erasetest.utility.sandbox.pool import run_programs
from erasetest.utility.sandbox.programs import Attempt, Limits, Outcome, Program

__all__ = ["LAYERS", "Attempt", "Limits", "Outcome", "Program", "run_programs", "sandbox_layers"]
