"""Names objects by what only looks like a number."""

# effect: nothing
# with: wire
# test: helper = lambda x: x + 1; assert solve(helper) == EXPECTED


def solve(helper):
    for number in (0.0, False, "0", b"0", None, (0,), [0], {0: 0}, 0j):
        for asked in ("call", "attribute", "method", "iter", "items", "next"):
            try:
                ask(asked, number, "__globals__", (), {})
            except Exception:
                pass
