"""Gives an answer of a gigabyte to the test."""

# effect: memory


def solve(question):
    return ["x" * (1 << 20)] * 1024 + [bytes(1 << 30)]
