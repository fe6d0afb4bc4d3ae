"""Calls what a function of the test returned."""

# effect: opens
# with: wire
# test: factory = lambda: lambda: EXPECTED; assert solve(factory) == EXPECTED


def solve(factory):
    return ask("call", 0, (), {})()
