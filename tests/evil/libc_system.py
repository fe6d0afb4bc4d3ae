"""Starts a shell by the C library."""

# effect: writes

import ctypes

assert ctypes.CDLL(None).system(b": > " + CANARY.encode()) == 0
