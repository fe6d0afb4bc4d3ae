"""Asks for the frame of a generator that the test handed over."""

# effect: opens
# with: wire
# test: g = (x for x in [1]); assert solve(g) == EXPECTED


def solve(items):
    return ask("attribute", 0, "gi_frame")[1].f_globals["EXPECTED"]
