"""Gives a dictionary whose keys all have one hash."""

# effect: runs
# ends: at the limit of time


def solve(question):
    step = (1 << 61) - 1
    return {(7 + number * step): number for number in range(40_000)}
