"""Asks for the constants of a function that the test handed over."""

# effect: nothing
# with: wire
# test: helper = lambda x: x + 1; assert solve(helper) == EXPECTED


def solve(helper):
    code = ask("attribute", 0, "__code__")[1]
    return code.co_consts[1]
