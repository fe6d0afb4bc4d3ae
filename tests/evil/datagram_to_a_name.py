"""Sends a datagram to a socket that has a name and no file, from one of a pair."""

# effect: connects

import socket

socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b"x", "\0" + NAME + "-datagrams")
