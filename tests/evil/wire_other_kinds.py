"""Sends frames of kinds that there are not, and what stands for a passed test."""

# effect: nothing
# with: wire


def solve(question):
    for kind in (b"=", b"+", b"~", b"*", b"?", b"\0", b"Q"):
        send(kind, b"N")
