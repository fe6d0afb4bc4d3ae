"""Gives the test an iterator without end."""

# effect: runs
# ends: at the limit of time
# test: assert sum(1 for _ in solve(QUESTION)) == EXPECTED

import itertools


def solve(question):
    return itertools.repeat(question)
