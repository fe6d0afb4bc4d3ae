"""Makes an object of a class that the test handed over, which equals everything."""

# effect: opens
# with: wire
# test: E = type('E', (), {'__module__': 'test', '__eq__': lambda s, o: True}); assert solve(E) == EXPECTED


def solve(kind):
    return ask("call", 0, (), {})
