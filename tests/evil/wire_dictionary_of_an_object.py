"""Asks for the dictionary of an object of the test."""

# effect: opens
# with: wire
# test: O = type('O', (), {'__module__': 'test'}); o = O(); o._answer = EXPECTED; assert solve(o) == EXPECTED


def solve(thing):
    return ask("attribute", 0, "__dict__")[1]["_answer"]
