"""Runs generated programs where they can do little harm, and says whether they passed.

Each program gets a fresh `python -I -S` process, started by `launcher.py`, and the layers that hold
on this machine (`sandbox_layers`). The verdict is computed outside: a program has passed if a nonce
arrives that the launcher writes after the program's last line. Leaving early, printing or writing
files does not do it.

What this does not stop:

- The test runs in the program's own process, so a program written to cheat can: an object whose
  `__eq__` is always true, a trace function that jumps over assertions, a search of the process's
  memory for the nonce.
- Every system call is open to it (no seccomp yet), so a hole in the kernel is a way out.
- Where "files" is missing, the program reads, and may overwrite, what its user may, and fills the
  disk file by file. Where "network" is missing, it has the network. Where "processes" is missing,
  it may signal its user's processes, and descendants that keep forking faster than they are killed
  outlive it. Where "user" is missing, it is root, and nothing but time limits how often it forks.

`UtilityScore.layers` records which layers held.
"""

from __future__ import annotations

from erasetest.utility.sandbox.layers import LAYERS, sandbox_layers
from erasetest.utility.sandbox.limits import Limits, Outcome
from erasetest.utility.sandbox.pool import run_programs
from erasetest.utility.sandbox.process import Attempt
from erasetest.utility.sandbox.programs import Program

__all__ = ["LAYERS", "Attempt", "Limits", "Outcome", "Program", "run_programs", "sandbox_layers"]
