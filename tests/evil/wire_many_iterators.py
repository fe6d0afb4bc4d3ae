"""Has the test's process keep iterators until its memory is full."""

# effect: nothing
# ends: at the limit of time
# with: wire
# test: assert solve(map(int, ['1'])) == EXPECTED


def solve(items):
    while True:
        ask("iter", 0)
