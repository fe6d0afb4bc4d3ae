"""Asks for the function inside of a partial one."""

# effect: nothing
# with: wire
# test: import functools; p = functools.partial(lambda x: x, 1); assert solve(p) == EXPECTED


def solve(partial):
    return ask("attribute", 0, "func")[1].__globals__["EXPECTED"]
