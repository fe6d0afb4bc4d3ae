"""Asks for the class of an object of the test, and for what it derives from."""

# effect: nothing
# with: wire
# test: O = type('O', (), {'__module__': 'test', '_hidden': EXPECTED, '__call__': lambda self: 1}); assert solve(O()) == EXPECTED


def solve(thing):
    kind = ask("attribute", 0, "__class__")[1]
    return kind._hidden
