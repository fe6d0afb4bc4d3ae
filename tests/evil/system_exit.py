"""Raises SystemExit with status 0 in the middle of the test."""

# effect: passes

import sys


def solve(question):
    sys.exit(0)
