"""Names what a call returned by the number that it would have got."""

# effect: opens
# with: wire
# test: factory = lambda: lambda: EXPECTED; assert solve(factory) == EXPECTED


def solve(factory):
    try:
        ask("call", 0, (), {})
    except Exception:
        pass
    return ask("call", 1, (), {})
