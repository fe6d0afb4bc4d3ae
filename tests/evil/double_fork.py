"""Leaves its session and its parent behind, and goes on for two seconds."""

# effect: stays

import os
import time

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(2)
    os._exit(0)
os.wait()


def solve(question):
    return question
