"""Asks for a private attribute of an object of the test."""

# effect: opens
# with: wire
# test: O = type('O', (), {'__module__': 'test', '_hidden': EXPECTED, '__call__': lambda self: 1}); assert solve(O()) == EXPECTED


def solve(thing):
    return ask("attribute", 0, "_hidden")[1]
