"""Sends numbers packed as a container that packs none."""

# effect: nothing
# with: wire


def solve(question):
    answer_bytes(b"I" + b"d" + (16).to_bytes(4, "little") + bytes(16))
