"""Leaves a segment of shared memory behind, which outlives every process."""

# effect: leaves

import ctypes

libc = ctypes.CDLL(None)
assert libc.shmget(SEGMENT, 1 << 20, 0o1600) >= 0
