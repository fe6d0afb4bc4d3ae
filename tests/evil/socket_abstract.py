"""Connects to a socket that has a name and no file."""

# effect: connects

import socket

socket.socket(socket.AF_UNIX).connect("\0" + NAME)
