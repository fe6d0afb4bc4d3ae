"""Asks an object of the test for what pickle would make of it."""

# effect: opens
# with: wire
# test: O = type('O', (), {'__module__': 'test'}); o = O(); o._answer = EXPECTED; assert solve(o) == EXPECTED


def solve(thing):
    return ask("method", 0, "__reduce_ex__", (2,), {})[2]["_answer"]
