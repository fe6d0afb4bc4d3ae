"""Sends a frame of no length."""

# effect: nothing
# with: wire


def solve(question):
    os.write(connection()._outgoing, bytes(4))
