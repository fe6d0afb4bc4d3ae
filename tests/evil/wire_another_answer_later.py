"""Gives the test an object that first is one thing and then another."""

# effect: nothing
# with: wire
# test: r = solve(QUESTION); assert r.x == r.x or r[0] == EXPECTED


class Odd:
    number = 0

    def __getattr__(self, name):
        Odd.number += 1
        return Odd.number

    def __getitem__(self, key):
        return key


def solve(question):
    return Odd()
