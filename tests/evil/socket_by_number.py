"""Makes a socket by the number of the system call."""

# effect: connects

import ctypes
import socket

made = ctypes.CDLL(None).syscall(41, 2, 1, 0)
assert made >= 0
socket.socket(fileno=made).connect(("127.0.0.1", PORT))
