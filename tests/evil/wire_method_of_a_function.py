"""Asks for a method of a function, which leads to its globals."""

# effect: opens
# with: wire
# test: helper = lambda x: x + 1; assert solve(helper) == EXPECTED


def solve(helper):
    return ask("method", 0, "__getattribute__", ("__globals__",), {})["EXPECTED"]
