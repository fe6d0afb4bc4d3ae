"""Connects to a socket that is a file of this machine."""

# effect: connects

import socket

socket.socket(socket.AF_UNIX).connect(UNIX)
