"""Asks a class of the test for the classes of its process."""

# effect: nothing
# with: wire
# test: E = type('E', (), {'__module__': 'test'}); assert solve(E) == EXPECTED


def solve(kind):
    return ask("method", 0, "mro", (), {})[-1]
