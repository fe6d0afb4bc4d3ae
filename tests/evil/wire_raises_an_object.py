"""Says that it raised with an object of its own for a text."""

# effect: nothing
# with: wire
# test: solve(QUESTION) == EXPECTED; assert 0


def solve(question):
    send(b"e", row(several(b"l", text("ValueError")), mine(0)))
