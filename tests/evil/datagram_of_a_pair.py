"""Sends a datagram to a socket that is a file, from one of a pair of sockets."""

# effect: connects

import socket

socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b"x", UNIX_DATAGRAMS)
