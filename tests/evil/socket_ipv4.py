"""Connects by IPv4 to a server of this machine."""

# effect: connects

import socket

socket.create_connection(("127.0.0.1", PORT), 2)
