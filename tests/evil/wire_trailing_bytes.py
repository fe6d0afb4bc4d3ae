"""Sends a value with another behind it."""

# effect: nothing
# with: wire


def solve(question):
    answer_bytes(b"T" + b"T")
