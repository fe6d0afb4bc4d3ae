"""Makes a process by an old system call."""

# effect: stays

import ctypes

made = ctypes.CDLL(None).syscall(58)
if made == 0:
    ctypes.CDLL(None)._exit(0)
assert made > 0


def solve(question):
    return question
