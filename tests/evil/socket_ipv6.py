"""Connects by IPv6 to a server of this machine."""

# effect: connects

import socket

socket.create_connection(("::1", PORT6), 2)
