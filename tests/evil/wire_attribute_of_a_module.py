"""Asks for an attribute of a module that the test handed over."""

# effect: opens
# with: wire
# test: import sys; assert solve(sys) == EXPECTED


def solve(module):
    return ask("attribute", 0, "modules")[1]["test"].EXPECTED
