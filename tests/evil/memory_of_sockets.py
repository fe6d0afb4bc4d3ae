"""Keeps hundreds of MiB in sockets that are on their way through a socket."""

# effect: nothing
# needs: system calls
# test: assert solve(QUESTION) > 64

import array
import socket

SENT = 0


def fill(pair):
    global SENT
    for each in pair:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        each.setblocking(False)
        try:
            while True:
                SENT += each.send(bytes(1 << 16))
        except BlockingIOError:
            pass
    return pair


kept = []
first = socket.socketpair()
try:
    while True:
        a, b = fill(socket.socketpair())
        rights = array.array("i", [a.fileno(), b.fileno()])
        first[0].sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        a.close()
        b.close()
except OSError:
    pass
try:
    while SENT < 900 << 20:
        kept.append(fill(socket.socketpair()))
except OSError:
    pass


def solve(question):
    return SENT >> 20
