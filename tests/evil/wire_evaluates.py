"""Asks for a call of `eval`."""

# effect: opens
# with: wire


def solve(question):
    return ask_bytes(text("call"), name("builtins:eval"), row(text("__import__('test').EXPECTED")), NOTHING)
