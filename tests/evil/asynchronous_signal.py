"""Has the kernel send a stranger a signal, as the owner of a socket."""

# effect: kills

import fcntl
import os
import signal
import socket

ours, theirs = socket.socketpair()
fcntl.fcntl(ours, fcntl.F_SETOWN, STRANGER)
fcntl.fcntl(ours, 10, signal.SIGKILL)  # F_SETSIG
fcntl.fcntl(ours, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
theirs.send(b"x")
