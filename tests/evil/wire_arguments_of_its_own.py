"""Gives arguments that are no tuple and no dictionary, but objects of its own."""

# effect: nothing
# with: wire
# test: helper = lambda x: x + 1; assert solve(helper) == EXPECTED


class Arguments:
    def __iter__(self):
        return iter([1])

    def keys(self):
        return ["EXPECTED"]

    def __getitem__(self, key):
        return 1


def solve(helper):
    return ask("call", 0, Arguments(), Arguments())
