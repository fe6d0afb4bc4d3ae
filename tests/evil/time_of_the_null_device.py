"""Sets the time of the null device that it has open, by an empty path."""

# effect: passes
# test: assert solve(QUESTION) == 0

import ctypes

libc = ctypes.CDLL(None)
DONE = libc.syscall(ctypes.c_long(280), ctypes.c_int(2), b"", None, ctypes.c_int(0x1000))


def solve(question):
    return DONE
