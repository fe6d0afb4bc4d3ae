"""Keeps a lock on a file of the library, which others have open too."""

# effect: nothing

import fcntl
import os
import time

fcntl.flock(open(os.__file__), fcntl.LOCK_EX)
time.sleep(0.2)


def solve(question):
    return None
