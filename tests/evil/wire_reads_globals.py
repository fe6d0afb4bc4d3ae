"""Asks for the globals of a function that the test handed over."""

# effect: opens
# with: wire
# test: helper = lambda x: x + 1; assert solve(helper) == EXPECTED


def solve(helper):
    return ask("attribute", 0, "__globals__")[1]["EXPECTED"]
