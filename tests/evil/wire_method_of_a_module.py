"""Calls a function of a module that the test handed over."""

# effect: opens and writes
# with: wire
# test: import os; solve(os); assert solve(os) == EXPECTED


def solve(module):
    ask("method", 0, "system", (f"echo > {CANARY}",), {})
