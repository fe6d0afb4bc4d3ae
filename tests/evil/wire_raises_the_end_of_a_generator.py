"""Says that it raised what ends the loops of a test."""

# effect: nothing
# with: wire
# test: assert all(solve(q) == EXPECTED for q in map(int, [QUESTION]))


def solve(question):
    names = [text(each) for each in ("GeneratorExit", "StopIteration", "KeyboardInterrupt")]
    send(b"e", row(several(b"l", *names), text("")))
