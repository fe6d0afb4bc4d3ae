"""Sends half a frame and waits."""

# effect: nothing
# with: wire


def solve(question):
    os.write(connection()._outgoing, (100).to_bytes(4, "little") + b"a" + b"T")
    os.close(connection()._outgoing)
