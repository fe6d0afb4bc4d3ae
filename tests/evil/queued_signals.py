"""Signals a stranger by other system calls than kill."""

# effect: kills

import ctypes

libc = ctypes.CDLL(None)
libc.syscall(234, STRANGER, STRANGER, 9)  # tgkill
libc.syscall(200, STRANGER, 9)  # tkill
