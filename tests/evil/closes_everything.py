"""Closes every descriptor, and lives on for a while."""

# effect: nothing

import os
import time

os.closerange(0, 256)
time.sleep(1)


def solve(question):
    return question
