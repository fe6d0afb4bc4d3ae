"""Sends a datagram to a server of this machine."""

# effect: connects

import socket

socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", UDP))
