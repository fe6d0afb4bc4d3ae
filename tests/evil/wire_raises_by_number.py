"""Says that it raised something whose names are no texts."""

# effect: nothing
# with: wire


def solve(question):
    send(b"e", row(several(b"l", mine(0), integer(3), row(), name("builtins:Exception")), text("")))
