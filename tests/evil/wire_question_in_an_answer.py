"""Asks, in place of answering, for ever."""

# effect: nothing
# ends: at the limit of time
# with: wire
# test: helper = lambda x: x + 1; assert solve(helper) == EXPECTED


def solve(helper):
    while True:
        ask("call", 0, (1,), {})
