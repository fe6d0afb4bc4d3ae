"""Runs generated programs where they can do little harm, and says whether they passed.

Each program gets a fresh `python -I -S` process, started by `launcher.py`, and the layers that hold
on this machine (`sandbox_layers`). The verdict is computed outside: a program has passed if a nonce
arrives that the launcher writes after the program's last line. Leaving early, printing or writing
files does not do it.

What this does not stop: the test runs in the program's own process, so a program that is written to
cheat can: an object whose `__eq__` is always true, a trace function that jumps over the assertions,
or a search of the process's memory for the nonce. Where the layer "files" is missing the program
reads, and may overwrite, what its user may; where "network" is missing it has the network; where
"processes" is missing it may signal the user's processes, and descendants that keep forking faster
than they are killed outlive it. `score` records the layers that held.
"""

from __future__ import annotations

from erasetest.utility.sandbox.layers import LAYERS, sandbox_layers
from erasetest.utility.sandbox.limits import Limits, Outcome
from erasetest.utility.sandbox.pool import run_programs

__all__ = ["LAYERS", "Limits", "Outcome", "run_programs", "sandbox_layers"]
