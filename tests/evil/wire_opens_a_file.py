"""Asks for a call of `open`, to write a file that is not its own."""

# effect: opens and writes
# with: wire


def solve(question):
    ask_bytes(text("call"), name("builtins:open"), row(text(CANARY), text("w")), NOTHING)
