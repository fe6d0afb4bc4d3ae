"""Calls itself without end, and lifts the limit on that."""

# effect: memory
# ends: at the limit of time

import sys

sys.setrecursionlimit(1 << 30)


def solve(question):
    return solve([question])
