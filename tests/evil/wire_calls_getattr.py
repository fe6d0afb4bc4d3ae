"""Asks for a call of `getattr` on a function that the test handed over."""

# effect: opens
# with: wire
# test: helper = lambda x: x + 1; assert solve(helper) == EXPECTED


def solve(helper):
    names = ask_bytes(
        text("call"), name("builtins:getattr"), row(yours(0), text("__globals__")), NOTHING
    )
    return names["EXPECTED"]
