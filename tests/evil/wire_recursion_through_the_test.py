"""Calls the test, which calls it, which calls the test."""

# effect: nothing
# with: wire
# test: helper = lambda f: f(helper); assert solve(helper) == EXPECTED


def solve(helper):
    return helper(solve)
