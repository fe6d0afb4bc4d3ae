"""Makes a process by the newest system call for it."""

# effect: stays

import ctypes
import os
import time

arguments = (ctypes.c_uint64 * 11)(0, 0, 0, 0, 17)
made = ctypes.CDLL(None).syscall(435, ctypes.byref(arguments), ctypes.c_size_t(88))
if made == 0:
    os.setsid()
    time.sleep(2)
    os._exit(0)
assert made > 0
