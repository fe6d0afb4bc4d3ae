"""Runs generated programs where they can do little harm, and says whether they passed.

A program and its test run in two processes that exchange values, and share nothing else
(`inside/tester.py`). The verdict is computed outside: a program has passed if a nonce arrives that
the test's process writes after the test's last line.

What this does not stop:

- A hole in the kernel behind the system calls that are left.
- Where layers are missing, what they are for: see `LAYERS`. `UtilityScore.layers` records which
  held, and `pool.required_layers` refuses to run programs where too few do.
- Messages between programs through the time that things take.
- A test that hands what it expects to an object of the program (`f(1).startswith(X)`, where `f`
  gives no string but an object with a method of that name) lets the program answer by it.
"""

from __future__ import annotations

from erasetest.utility.sandbox.layers import LAYERS, sandbox_layers
from erasetest.utility.sandbox.limits import Limits, Outcome
from erasetest.utility.sandbox.pool import run_programs
from erasetest.utility.sandbox.process import Attempt
from erasetest.utility.sandbox.programs import Program

__all__ = ["LAYERS", "Attempt", "Limits", "Outcome", "Program", "run_programs", "sandbox_layers"]
