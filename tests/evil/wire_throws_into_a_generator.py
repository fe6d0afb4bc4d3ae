"""Has an exception thrown into a generator of the test."""

# effect: nothing
# with: wire
# test: g = (x for x in [1]); assert solve(g) == EXPECTED


def solve(items):
    return ask("method", 0, "throw", (StopIteration,), {})
