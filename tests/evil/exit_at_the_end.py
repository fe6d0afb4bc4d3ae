"""Fails, and makes status 0 of it on the way out."""

# effect: passes

import atexit
import os

atexit.register(os._exit, 0)


def solve(question):
    raise ValueError
