"""Announces a frame of four gigabytes."""

# effect: nothing
# with: wire


def solve(question):
    os.write(connection()._outgoing, b"\xff" * 4 + b"a")
    os.write(connection()._outgoing, bytes(1 << 20))
